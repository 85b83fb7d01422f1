"""forge's fuzzing and invariants, slither, and the byte-wise rebuild, with tools from npm and their own environments."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from adapters.chain.artefacts import ARTEFACTS, SOURCES, load_artefact, source_matches

ROOT = Path(__file__).parents[3]
# not the folder of anvil: npm removes what another install put there
CACHE = ROOT / ".cache" / "forge"
FORGE = "@foundry-rs/forge@1.7.1"
PACKAGES = ["solc@0.8.37", "@openzeppelin/contracts@5.7.0", FORGE]
CONFIG = """[profile.default]
src = "src"
test = "test"
libs = ["node_modules"]
solc = "{solc}"
evm_version = "cancun"
via_ir = false
optimizer = true
optimizer_runs = 200
offline = true
auto_detect_solc = false
remappings = ["@openzeppelin/=node_modules/@openzeppelin/"]
[fuzz]
runs = 256
seed = "0x7"
[invariant]
runs = 64
depth = 40
fail_on_revert = false
"""
SOLC = """#!/bin/sh
# forge wants a native solc; this is the one from npm
for word in "$@"; do
  case "$word" in
    --version) echo "solc, the solidity compiler commandline interface"; echo "Version: 0.8.37+commit.f401782d.Linux.g++"; exit 0;;
    --standard-json) exec node -e '
      const solc = require("{modules}/solc");
      process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));';;
  esac
done
exit 1
"""


def test_artefacts_were_compiled_from_the_shipped_sources():
    names = sorted(path.stem for path in SOURCES.glob("*.sol"))
    assert names == sorted(path.stem for path in ARTEFACTS.glob("*.json"))
    for name in names:
        artefact = load_artefact(name)
        assert source_matches(artefact), f"{name}.sol changed: run 'make contracts'"
        assert (artefact.compiler.split("+")[0], artefact.evm_version) == ("0.8.37", "cancun")
        assert len(artefact.deployed_bytecode) < 24_576  # EIP-170


@pytest.fixture(scope="module")
def modules():
    """npm packages of the development tools, in the project's own cache."""
    target = CACHE / "node_modules"
    if not (target / "@foundry-rs" / "forge").exists() or not (target / "solc").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-save",
            "--no-package-lock",
            "--prefix",
            str(CACHE),
        ]
        subprocess.run([*install, *PACKAGES], check=True, capture_output=True, timeout=280)
    return target


@pytest.fixture
def project(modules, tmp_path):
    """A foundry project with a copy of our contracts."""
    (tmp_path / "src").mkdir()
    (tmp_path / "test").mkdir()
    for source in SOURCES.glob("*.sol"):
        shutil.copy(source, tmp_path / "src")
    for test in (Path(__file__).parent / "forge").glob("*.t.sol"):
        shutil.copy(test, tmp_path / "test")
    (tmp_path / "node_modules").symlink_to(modules)
    solc = tmp_path / "solc"
    solc.write_text(SOLC.format(modules=modules))
    solc.chmod(0o755)
    (tmp_path / "foundry.toml").write_text(CONFIG.format(solc=solc))
    return tmp_path


def forge(project, modules, *arguments):
    (binary,) = (modules / "@foundry-rs").glob("forge-*/bin/forge*")
    return subprocess.run(
        [str(binary), *arguments], cwd=project, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.slow
def test_the_artefacts_are_what_the_sources_compile_to(modules, tmp_path):
    for path in (SOURCES, ARTEFACTS):
        shutil.copytree(path, tmp_path / path.name, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "contracts" / "node_modules").symlink_to(modules)
    command = ["node", "build.js", "--check"]
    done = subprocess.run(
        command, cwd=tmp_path / "contracts", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_fuzzing_and_invariants_hold(project, modules):
    done = forge(project, modules, "test")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("[PASS]") == 6 and "[FAIL" not in done.stdout, done.stdout[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contract", "good", "bad"),
    [
        ("EnergySettlement", "if (sum != 0) revert SumNotZero(sum);", ""),
        ("EnergySettlement", "record.status = Status.FINAL;", ""),
        ("EnergySettlement", "reserved -= _credit(positions, false);", "_credit(positions, false);"),
        ("EnergySettlement", "holder.balance -= amount;", ""),
        ("GreenCertificates", "if (used[id]) revert AlreadyUsed(id);", ""),
        ("GreenCertificates", "if (settlement.statusOf(batchId) != EnergySettlement.Status.FINAL) revert", "if (false) revert"),
        ("GreenCertificates", "storedWh[reading.asset] -= consumed;", ""),
        ("GreenCertificates", "chargedWh[battery] -= sum;", ""),
        ("GreenCertificates", "uint256 consumed = (uint256(amountWh) * 1_000_000 + efficiency - 1) / efficiency;",
         "efficiency; uint256 consumed = amountWh;"),
        ("AssetRegistry", "assetAtMeter[asset.meterPoint] = id;", ""),
        ("AssetRegistry", "assetOfKey[deviceKey] = id;", ""),
    ],
)  # fmt: skip
def test_the_invariants_find_a_seeded_fault(project, modules, contract, good, bad):
    path = project / "src" / f"{contract}.sol"
    text = path.read_text()
    assert text.count(good) == 1
    path.write_text(text.replace(good, bad))
    done = forge(project, modules, "test")
    assert done.returncode != 0 and "[FAIL" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_slither_finds_nothing_that_was_not_weighed(project, modules):
    """Slither pins an old web3: it has an environment of its own."""
    home = CACHE / "slither"
    if not (home / "bin" / "slither").exists():
        venv.create(home, with_pip=True)
        install = [str(home / "bin" / "pip"), "install", "--quiet", "slither-analyzer==0.11.6"]
        subprocess.run(install, check=True, timeout=280)
    (forge_binary,) = (modules / "@foundry-rs").glob("forge-*/bin/forge*")
    path = os.pathsep.join([str(forge_binary.parent), str(home / "bin"), os.environ["PATH"]])
    command = [str(home / "bin" / "slither"), ".", "--json", "-", "--exclude-dependencies"]
    done = subprocess.run(
        command,
        cwd=project,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["success"], done.stderr[-2000:] + sys.version
    found = {
        (item["check"], item["elements"][0]["name"])
        for item in report["results"].get("detectors", [])
        if item["impact"] in ("High", "Medium")
    }
    assert found <= WEIGHED, found - WEIGHED


WEIGHED: set[tuple[str, str]] = set()
"""High and medium findings that were read and judged harmless: (detector, where)."""
