"""A scenario that settles on a node: what is wrong is seen before the run, and no key gets into its folder."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from adapters.chain.cli import main as chain_cli
from adapters.chain.contract import Contract
from adapters.chain.deploy import SETUP, create, wait_idle
from adapters.chain.http_node import HttpNode, embedded_node
from adapters.chain.keys import Signer, load_keystore
from adapters.chain.outbox import Outbox, Post
from adapters.chain.rpc import connect
from adapters.chain.typed import account_id
from adapters.grid import compare as compare_module
from adapters.grid import source
from twin.cli import main as twin_cli
from twin.run import run
from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError

START_S = 1_453_071_600
SCENARIOS = Path(__file__).parents[2] / "scenarios"
PASSWORD = "correct-horse-7319"
SCENARIO = """\
name: lab
start: 2016-01-18T00:00:00+01:00
duration_days: 0.125
seed: 1
grid: {{source: "pandapower:create_kerber_landnetz_freileitung_1"}}
profiles: {{source: profiles.csv}}
settlement:
  chain: rpc
  batch_s: 5400
  rpc: {{url: "{url}", outbox: outbox.sqlite, deployment: deployment.json, confirmations: 0, patience_s: 60}}
"""


@pytest.fixture(scope="module", autouse=True)
def _one_feeder():
    """The street is loaded and compared in both engines once: that is not what is tested here."""
    load, compare = source.load_feeder, compare_module.compare_engines
    here = SCENARIOS.parent
    load_once = cache(lambda name: load(name, here))
    compare_once = cache(lambda name, every: compare(load_once(name), every=every))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load_feeder", lambda name, _home: load_once(name))
        patch.setattr(
            compare_module, "compare_engines", lambda feeder, every: compare_once(feeder.source, every)
        )
        yield


@dataclass
class Lab:
    """A node on a socket, keystores in the environment, our contracts and money for everybody."""

    node: HttpNode
    folder: object
    secrets: list[bytes]

    def loaded(self, *overrides):
        return load_scenario(self.folder / "lab.yaml", overrides)

    def problems(self, *overrides):
        with pytest.raises(ScenarioError) as caught:
            run(self.loaded(*overrides), self.folder / "refused")
        assert not (self.folder / "refused").exists()
        return str(caught.value)

    def deposit(self, names):
        node = connect(self.node.url)
        operator = load_keystore(self.folder / "operator.json", PASSWORD)
        outbox = Outbox(":memory:", node, operator)
        found = json.loads((self.folder / "deployment.json").read_text())
        money, book = found["currency"], found["settlement"]
        currency, contract = Contract(node, "TestCurrency", money), Contract(node, "EnergySettlement", book)
        ids, amount = [account_id(name) for name in names], 10**12
        for to, data in [
            (money, currency.data("mint", operator.address, amount * len(ids))),
            (money, currency.data("approve", book, 2**256 - 1)),
            (book, contract.data("openAccounts", names, [operator.address] * len(ids))),
            (book, contract.data("deposit", ids, [amount] * len(ids))),
        ]:
            outbox.post(Post(SETUP, "lab", to, data, 3_000_000))
            wait_idle(outbox)
        node.close()


def keystore(path, secret):
    from eth_account import Account

    path.write_text(json.dumps(Account.encrypt(secret, PASSWORD, kdf="pbkdf2", iterations=1)))
    return str(path)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    secrets = [hashlib.sha256(b"lab %d" % i).digest() for i in range(4)]
    files = [
        keystore(tmp_path / f"{n}.json", s) for n, s in zip(("operator", "a", "b", "c"), secrets, strict=True)
    ]
    monkeypatch.setenv("TWIN_CHAIN_KEYSTORE", files[0])
    monkeypatch.setenv("TWIN_CHAIN_PASSWORD", PASSWORD)
    monkeypatch.setenv("TWIN_CHAIN_ORACLES", ":".join(files[1:]))
    rows = ["time,load:house"] + [
        f"2016-01-18T{h:02}:{m:02}:00,1000" for h in range(4) for m in (0, 15, 30, 45)
    ]
    (tmp_path / "profiles.csv").write_text("\n".join(rows) + "\n")
    with embedded_node(START_S, fund=[Signer(secrets[0]).address]) as served:
        (tmp_path / "lab.yaml").write_text(SCENARIO.format(url=served.url))
        yield Lab(served, tmp_path, secrets)


def deploy(lab, market="lab/main"):
    node = connect(lab.node.url)
    operator = load_keystore(lab.folder / "operator.json", PASSWORD)
    outbox = Outbox(":memory:", node, operator)
    money = create(outbox, "TestCurrency", ["address"], [operator.address])
    node.close()
    arguments = ["--url", lab.node.url, "--market", market, "--currency", money]
    path = lab.folder / "deployment.json"
    path.unlink(missing_ok=True)
    assert chain_cli(["deploy", *arguments, "--out", str(path)]) == 0


HOUSES = [*(f"load {i}" for i in range(13)), "supplier"]


def test_a_run_on_a_node_with_keystores_leaves_no_key_behind_and_says_what_is_proposed(lab):
    deploy(lab)
    assert "14 accounts have no money on the contract: twin chain deposit (load 0, load 1" in lab.problems()
    lab.deposit(HOUSES)
    result = run(lab.loaded(), lab.folder / "run")
    assert result.table("settlement")["status"].to_pylist() == ["proposed"] * 2
    checks = {check["name"]: check for check in result.checks}
    assert checks["money"]["verdict"] == checks["settlement"]["verdict"] == "pass"
    assert "2 PROPOSED of 2 batches" in checks["settlement"]["detail"]
    assert "2 PROPOSED of 2 batches" in (lab.folder / "run" / "report.html").read_text("utf-8")
    written = b"".join(p.read_bytes() for p in (lab.folder / "run").rglob("*") if p.is_file())
    for secret in lab.secrets:
        assert secret not in written and secret.hex().encode() not in written.lower()
    assert PASSWORD.encode() not in written
    again = run(lab.loaded(), lab.folder / "again")  # the same run again: what is settled stays settled once
    same = [result.table("settlement"), again.table("settlement")]
    assert same[0]["transaction"].to_pylist() == same[1]["transaction"].to_pylist()
    assert chain_cli(["reconcile", str(lab.folder / "again"), "--url", lab.node.url]) == 0
    assert again.verdict == result.verdict != "fail"


def test_what_is_wrong_with_a_node_is_said_at_once_and_before_the_run(lab, monkeypatch):
    assert "deployment.json is no deployment file" in lab.problems()
    deploy(lab, market="elsewhere")
    lab.deposit(HOUSES)
    monkeypatch.setenv("TWIN_CHAIN_ORACLES", str(lab.folder / "a.json"))
    text = lab.problems("settlement.rpc.outbox=nowhere/outbox.sqlite")
    for said in (
        "lab.yaml:10: settlement.rpc.deployment: the contract at 0x",
        "does not settle market 'lab/main'",
        "the contract's oracles are 2 of",
        "there is no folder nowhere",
    ):
        assert said in text
    assert "settlement.rpc.chain_id: the node at" in lab.problems("settlement.rpc.chain_id=1")
    monkeypatch.setenv("TWIN_CHAIN_PASSWORD", "wrong")
    text = lab.problems()
    assert "keystore operator.json cannot be opened: wrong password" in text and PASSWORD not in text
    monkeypatch.setenv("TWIN_CHAIN_PASSWORD", PASSWORD)

    def hang_up(*_):
        raise ConnectionAbortedError

    monkeypatch.setattr(lab.node.node, "request", hang_up)
    assert f"no answer from {lab.node.url}: " in lab.problems()


def test_an_operator_without_funds_or_role_is_told(lab, monkeypatch):
    deploy(lab)
    lab.deposit(HOUSES)
    monkeypatch.setenv("TWIN_CHAIN_KEYSTORE", str(lab.folder / "a.json"))
    text = lab.problems()
    assert "has no funds for gas on chain 413117" in text and "it lacks PROPOSER_ROLE" in text


SIGNED = "settlement.oracles={}"


def test_devices_are_registered_by_a_command_and_asked_for_before_the_run(lab, capsys):
    deploy(lab)
    lab.deposit(HOUSES)
    text = lab.problems(SIGNED)
    assert "13 of 13 metering devices are not in the registry at 0x" in text
    assert "(load 0, load 1, load 2, load 3, load 4, …)" in text
    assert "twin chain register-devices SCENARIO" in text
    command = ["chain", "register-devices", str(lab.folder / "lab.yaml"), "--set", SIGNED]
    assert twin_cli([*command, "--dry-run"]) == 0
    assert "main: 13 of 13 would be registered: load 0" in capsys.readouterr().out
    assert twin_cli(command) == 0
    assert "main: 13 devices are in the registry, 0 of them were before" in capsys.readouterr().out
    assert twin_cli(command) == 0
    assert "13 devices are in the registry, 13 of them were before" in capsys.readouterr().out
    other = [SIGNED, "seed=2"]  # other keys by the same names
    assert "has other keys for load 0, load 1" in lab.problems(*other)
    assert twin_cli([*command, "--seed", "2"]) == 2
    assert "another scenario or seed uses it" in capsys.readouterr().err


@pytest.mark.slow
def test_what_registered_devices_sign_is_proven_from_the_chain(lab, capsys):
    deploy(lab)
    lab.deposit(HOUSES)
    assert twin_cli(["chain", "register-devices", str(lab.folder / "lab.yaml"), "--set", SIGNED]) == 0
    run(lab.loaded(SIGNED), lab.folder / "run")
    assert chain_cli(["reconcile", str(lab.folder / "run"), "--url", lab.node.url]) == 0
    assert "26 signatures" in capsys.readouterr().out


def test_who_may_not_register_and_what_does_not_sign(lab, capsys, monkeypatch):
    deploy(lab)
    path = lab.folder / "deployment.json"
    command = ["chain", "register-devices", str(lab.folder / "lab.yaml")]
    assert twin_cli(command) == 2
    assert "no device signs for a node here" in capsys.readouterr().err
    transact(lab, "AssetRegistry", "registry", "REGISTRAR_ROLE")
    assert twin_cli([*command, "--set", SIGNED]) == 2
    assert "may not register devices: it lacks REGISTRAR_ROLE" in capsys.readouterr().err
    path.write_text(json.dumps(json.loads(path.read_text()) | {"registry": ""}))
    assert twin_cli([*command, "--set", SIGNED]) == 2
    assert "deployment.json names no registry" in capsys.readouterr().err
    lab.deposit(HOUSES)
    assert "the deployment has no registry for the devices' keys" in lab.problems(SIGNED)


def test_a_paused_contract_and_accounts_that_nobody_may_open_are_told_before_the_run(lab):
    deploy(lab)
    lab.deposit(HOUSES)
    transact(lab, "EnergySettlement", "settlement", "REGISTRAR_ROLE")
    assert "2 accounts are not open (pool, network) and the operator 0x" in lab.problems()
    transact(lab, "EnergySettlement", "settlement", "pause")
    assert "is paused: it takes no batches now" in lab.problems()


def transact(lab, name, key, what):
    """The operator pauses a contract, or gives a role of its own back."""
    node = connect(lab.node.url)
    operator = load_keystore(lab.folder / "operator.json", PASSWORD)
    contract = Contract(node, name, json.loads((lab.folder / "deployment.json").read_text())[key])
    if what == "pause":
        data = contract.data("pause")
    else:
        data = contract.data("revokeRole", keccak(what.encode()), operator.address)
    outbox = Outbox(":memory:", node, operator)
    outbox.post(Post(SETUP, "by hand", contract.address, data, 200_000))
    wait_idle(outbox)
    assert outbox.rows(SETUP, "by hand")[-1]["status"] == "confirmed"
    node.close()


def test_other_code_and_another_outbox(lab):
    deploy(lab)
    lab.deposit(HOUSES)
    path = lab.folder / "deployment.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"settlement": found["currency"]}))
    assert "is not EnergySettlement as shipped" in lab.problems()
    path.write_text(json.dumps(found))
    (lab.folder / "outbox.sqlite").write_text("not a database, but long enough to be looked at")
    assert "outbox.sqlite is no outbox" in lab.problems()
    node = connect(lab.node.url)
    other = load_keystore(lab.folder / "a.json", PASSWORD)
    (lab.folder / "outbox.sqlite").unlink()
    Outbox(str(lab.folder / "outbox.sqlite"), node, other).close()
    node.close()
    assert f"outbox.sqlite was made for sender {other.address}" in lab.problems()


def test_the_address_comes_from_the_environment_and_variants_do_not_share(lab, monkeypatch):
    nameless = "settlement.rpc.url=''"
    assert "settlement.rpc.url: is missing: write it, or set TWIN_CHAIN_URL" in lab.problems(nameless)
    monkeypatch.setenv("TWIN_CHAIN_URL", "http://127.0.0.1:1")
    assert "no answer from http://127.0.0.1:1" in lab.problems(nameless)
    shared = "variants={a: {judged: true}, b: {}}"
    text = lab.problems(shared)
    assert "settlement.rpc.outbox: is shared by the variants a and b" in text
    outage = "settlement.outages=[{at_s: 90000, for_s: 60}]"
    assert "begins outside the run" in lab.problems("settlement.chain=embedded", outage)


def test_an_outage_of_six_hours_loses_nothing_and_settles_nothing_twice(tmp_path, capsys):
    result = run(load_scenario(SCENARIOS / "chain_outage.yaml", ["duration_days=0.375"]), tmp_path / "run")
    rows = result.table("settlement").to_pylist()
    assert [row["status"] for row in rows] == ["final"] * 9
    away_s = rows[0]["period_end_s"] + 40, rows[0]["period_end_s"] + 40 + 21_600
    assert rows[0]["resent"] == 1  # recorded, thrown out, and recorded again
    assert all(
        row["recorded_s"] >= away_s[1] for row in rows[:7]
    )  # those of the outage, and the one before it
    assert all(0 < row["recorded_s"] - row["period_end_s"] < 600 for row in rows[7:])
    assert result.kpis["settlement_resent_count"] == 1
    assert {c["name"]: c["verdict"] for c in result.checks}["money"] == "pass"
    assert "came back on another branch, without 3 of its blocks" in (
        tmp_path / "run" / "report.html"
    ).read_text("utf-8")
    assert chain_cli(["reconcile", str(tmp_path / "run")]) == 0
    assert "WRONG" not in capsys.readouterr().out
