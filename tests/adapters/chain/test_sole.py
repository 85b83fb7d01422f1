"""An outbox belongs to one process at a time, and to the next one as soon as that is dead."""

import signal
import subprocess
import sys

import pytest

from adapters.chain.errors import ChainInputError
from adapters.chain.sole import Sole, check_free

HOLD = "import sys; from adapters.chain.sole import Sole; s = Sole(sys.argv[1]); print('held', flush=True); input()"


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    path = tmp_path / "outbox.sqlite"
    check_free(path)
    assert list(tmp_path.iterdir()) == [], "looking makes no file"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout.readline() == b"held\n"
        for use in (lambda: Sole(str(path), 0.01), lambda: check_free(path, 0.01)):
            with pytest.raises(ChainInputError, match=r"outbox\.sqlite is used by another run"):
                use()
        first.send_signal(signal.SIGKILL)
        first.wait()
    check_free(path)
    one = Sole(str(path))
    with pytest.raises(ChainInputError):
        Sole(str(path), 0.01)
    one.close()
    Sole(str(path), 0.01).close()


def test_those_in_memory_do_not_meet():
    one, other = Sole(":memory:"), Sole(":memory:")
    one.close()
    other.close()
