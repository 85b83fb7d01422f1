"""``twin chain deposit``: totals that are never paid twice, and everything that stands against paying said before."""

import hashlib
import json
from pathlib import Path

import pytest
from eth_account import Account

from adapters.chain import deposits
from adapters.chain.cli import main
from adapters.chain.contract import Contract
from adapters.chain.deploy import SETUP, create, wait_idle
from adapters.chain.errors import ChainInputError
from adapters.chain.keys import Signer, embedded_keys
from adapters.chain.outbox import Outbox, Post
from adapters.chain.rpc import connect
from adapters.chain.typed import account_id


class Desk:
    """A deployment on a node behind a socket, and what the shell is given for it."""

    def __init__(self, served, path, arguments, signer):
        self.node, self.path, self.arguments = connect(served.url), path, arguments
        self.outbox = Outbox(":memory:", self.node, signer)
        found = json.loads(Path(path).read_text())
        self.contract = Contract(self.node, "EnergySettlement", found["settlement"])
        self.currency = Contract(self.node, "TestCurrency", found["currency"])

    def __call__(self, *totals):
        return main(["deposit", *totals, *self.arguments, "--deployment", str(self.path)])

    def send(self, contract, name, *args):
        self.outbox.post(Post(SETUP, name, contract.address, contract.data(name, *args), 500_000))
        wait_idle(self.outbox)
        assert self.outbox.rows(SETUP, name)[-1]["status"] == "confirmed"

    def paid_in(self, *names):
        return [state[2] for state in self.contract.read("accountsOf", [account_id(name) for name in names])]


@pytest.fixture
def desk(served, tmp_path):
    """With public keys and play money."""
    path, arguments = tmp_path / "deployment.json", ["--url", served.url, "--development"]
    assert main(["deploy", *arguments, "--market", "street", "--out", str(path)]) == 0
    return Desk(served, path, arguments, embedded_keys().operator)


@pytest.fixture
def real(served, tmp_path, monkeypatch):
    """With keystores, and a currency that nobody makes more of on the way."""
    secrets = [hashlib.sha256(b"deposit %d" % i).digest() for i in range(2)]
    files = []
    for i, secret in enumerate(secrets):
        files.append(tmp_path / f"{i}.json")
        files[i].write_text(json.dumps(Account.encrypt(secret, "pw", kdf="pbkdf2", iterations=1)))
    monkeypatch.setenv("TWIN_CHAIN_KEYSTORE", str(files[0]))
    monkeypatch.setenv("TWIN_CHAIN_PASSWORD", "pw")
    monkeypatch.setenv("TWIN_CHAIN_ORACLES", str(files[1]))
    signer = Signer(secrets[0])
    served.evm.auto_mine = True
    node = connect(served.url)
    own = embedded_keys().operator
    fields = {
        "to": signer.address,
        "value": 10**20,
        "data": b"",
        "chainId": 413_117,
        "nonce": 0,
        "gas": 21_000,
    }
    raw, _ = own.sign_transaction(fields | {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9})
    node.send_raw(raw)
    outbox = Outbox(":memory:", node, signer)
    money = create(outbox, "TestCurrency", ["address"], [signer.address])
    path, arguments = tmp_path / "deployment.json", ["--url", served.url]
    assert main(["deploy", *arguments, "--market", "street", "--currency", money, "--out", str(path)]) == 0
    return Desk(served, path, arguments, signer)


def test_a_total_is_paid_once_and_can_be_raised(desk, tmp_path, capsys):
    assert desk("a=10.5", "house 7=2") == 0
    out = capsys.readouterr().out
    assert "to be paid   12.500000 for 2 accounts; 2 are opened" in out and "play money is made" in out
    assert desk.paid_in("a", "house 7") == [10_500_000, 2_000_000]
    assert desk("a=10.5", "house 7=1") == 0
    out = capsys.readouterr().out
    assert "nothing to pay" in out and "2 accounts had this total already" in out
    (tmp_path / "more.csv").write_text("account,total\na,12\n\nb, 0.000001\n")
    assert desk("--file", str(tmp_path / "more.csv")) == 0
    assert desk.paid_in("a", "house 7", "b") == [12_000_000, 2_000_000, 1]


def test_real_money_is_never_made_and_only_what_is_missing_is_approved(real, capsys):
    assert real("a=3", "b=1") == 2
    assert "has 0.000000 of the currency, and 4.000000 are to be paid" in capsys.readouterr().err
    assert real("a=3", "--dry-run") == 1
    out = capsys.readouterr().out
    assert "missing      3.000000" in out and "nothing was sent" in out and real.paid_in("a") == [0]
    payer = real.outbox.signer.address
    real.send(real.currency, "mint", payer, 9_000_000)
    assert real("a=3", "--dry-run") == 0 and real.paid_in("a") == [0]
    assert "allowance    0.000000: 3.000000 is approved first" in capsys.readouterr().out
    assert real("a=3", "b=1", "--owner", "0x" + "5" * 40) == 0
    assert real.paid_in("a", "b") == [3_000_000, 1_000_000]
    assert real.currency.read("allowance", payer, real.contract.address) == 0, "nothing is left to be drawn"
    assert real.contract.read("accountsOf", [account_id("a")])[0][0] == "0x" + "5" * 40
    real.send(real.contract, "pause")
    assert real("a=4") == 2
    assert "is paused" in capsys.readouterr().err


def test_who_may_not_open_accounts_is_told(real, tmp_path, monkeypatch, capsys):
    role = bytes(real.contract.read("REGISTRAR_ROLE"))
    real.send(real.currency, "mint", real.outbox.signer.address, 9_000_000)
    real.send(real.contract, "renounceRole", role, real.outbox.signer.address)
    assert real("a=4") == 2
    assert "1 accounts are not open (a)" in capsys.readouterr().err and real.paid_in("a") == [0]


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        ([], "name at least one account"),
        (["a"], "'a': give NAME and a total"),
        (["a=-1"], "above zero"),
        (["a=0.0000001"], "6 decimals at most"),
        (["a=nan"], "give NAME and a total"),
        (["=5"], "give NAME and a total"),
        (["a=1", "a=2"], "'a' is named twice"),
        (["a=99999999999999999999"], "above zero"),
    ],
)
def test_amounts_that_are_none(totals, said):
    with pytest.raises(ChainInputError, match=said):
        deposits.totals_of(totals, None)


def test_a_file_is_told_by_line_and_a_currency_of_other_decimals_is_refused(
    desk, tmp_path, monkeypatch, capsys
):
    (tmp_path / "wrong.csv").write_text("a,1\nb;2\nc,x\n")
    assert desk("--file", str(tmp_path / "wrong.csv")) == 2
    err = capsys.readouterr().err
    assert "wrong.csv:2: give" in err and "wrong.csv:3: give" in err
    assert desk("--file", str(tmp_path / "nothing.csv")) == 2
    monkeypatch.setattr(deposits, "DECIMALS", 18)
    assert desk("a=1") == 2
    assert "has 6 decimals; settlement is in millionths" in capsys.readouterr().err
