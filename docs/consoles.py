"""Runs the console examples of a page, so that the output shown is the output got.

A block of ```` ```console ```` holds commands (``$ ...``) and what they print. ``python docs/consoles.py PAGE``
rewrites the output; a test compares it. Commands run in a folder of their own that sees ``scenarios``.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def rendered(page: Path, folder: Path) -> str:
    """Return the page with the output that its commands print now, run one after the other in ``folder``."""
    if not (folder / "scenarios").exists():
        (folder / "scenarios").symlink_to(ROOT / "scenarios")
    return BLOCK.sub(
        lambda match: f"```console\n{_block(match[1], folder)}```", page.read_text(encoding="utf-8")
    )


def _block(text: str, folder: Path) -> str:
    return "".join(
        f"$ {line[2:]}\n{_output(line[2:], folder)}" for line in text.splitlines() if line.startswith("$ ")
    )


def _output(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # the exit code of the command before is kept, for `echo $?`
    script = f"(exit $(cat .code 2>/dev/null || echo 0))\n{command}\necho $? > .code"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as temporary:
            Path(name).write_text(rendered(Path(name), Path(temporary)), encoding="utf-8")
