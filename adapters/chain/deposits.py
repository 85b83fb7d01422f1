"""Money onto a deployment: accounts opened, an allowance given and deposits raised, with everything tried before."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from adapters.chain.accounts import ZERO_ADDRESS
from adapters.chain.contract import Contract
from adapters.chain.deploy import SETUP, Deployment, wait_idle
from adapters.chain.desk import check_address
from adapters.chain.errors import ChainError, ChainInputError, RevertedError
from adapters.chain.keys import KeyRing, embedded_keys, keys_from_environment
from adapters.chain.options import RpcOptions
from adapters.chain.outbox import Outbox, Post
from adapters.chain.rpc import check_node, reach
from adapters.chain.typed import account_id

DECIMALS = 6
AT_ONCE = 50
MOST_MICRO = 2**63 - 1


def totals_of(pairs: list[str], file: Path | None) -> dict[str, int]:
    """Totals in millionths by account, from ``NAME=TOTAL`` and from lines ``name,total`` of a file.

    Raises ChainInputError, naming every fault.
    """
    found: dict[str, int] = {}
    faults: list[str] = []
    for place, name, text in _pairs(pairs, file):
        amount = _micro(text)
        if not name or amount is None:
            faults.append(
                f"{place}: give NAME and a total in the currency, above zero, with 6 decimals at most"
            )
        elif name in found:
            faults.append(f"{place}: {name!r} is named twice")
        else:
            found[name] = amount
    if not faults and not found:
        faults.append("name at least one account: NAME=TOTAL, or a file of lines name,total (--file)")
    if faults:
        raise ChainInputError("; ".join(faults))
    return found


def _pairs(pairs: list[str], file: Path | None) -> list[tuple[str, str, str]]:
    made = [(repr(pair), *pair.rpartition("=")[::2]) for pair in pairs]
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ChainInputError(f"{file} cannot be read: {error}") from error
        rows = ((f"{file.name}:{number}", *line.rpartition(",")[::2]) for number, line in enumerate(lines, 1))
        made += [row for row in rows if (row[1], row[2].strip()) not in (("", ""), ("account", "total"))]
    return [(place, name.strip(), text.strip()) for place, name, text in made]


def _micro(text: str) -> int | None:
    try:
        amount = Decimal(text) * 1_000_000
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount != amount.to_integral_value() or not 0 < amount <= MOST_MICRO:
        return None
    return int(amount)


@dataclass(frozen=True)
class Plan:
    """What has to be done, and what the payer has. Amounts in millionths."""

    payer: str
    opened: tuple[str, ...]
    raised_micro: Mapping[str, int]  # new totals
    kept: tuple[str, ...]  # that have this total already, or more
    sum_micro: int
    balance_micro: int
    allowance_micro: int

    @property
    def lacks_micro(self) -> int:
        """What the payer lacks."""
        return max(0, self.sum_micro - self.balance_micro)


class Counter:
    """The desk at which deposits are paid, on one deployment."""

    def __init__(self, url: str, deployment: Path, development: bool) -> None:
        """Open it. Raises ChainInputError for a node, keys or contract with which nothing can be paid."""
        self.keys: KeyRing = embedded_keys() if development else keys_from_environment()
        self.node = reach(url)
        try:
            check_node(self.node, self.keys, RpcOptions(url, ":memory:", development=development))
            found = Deployment.load(deployment, self.node.chain_id()).on(self.node)
            self.contract = Contract(self.node, "EnergySettlement", found.settlement)
            self.contract.check_code()
            token = check_address(str(self.contract.read("token")), "token")
            self.currency = Contract(self.node, "TestCurrency", token)
            self._check_currency()
        except Exception:
            self.node.close()
            raise
        self._outbox = Outbox(":memory:", self.node, self.keys.operator)

    def _check_currency(self) -> None:
        try:
            decimals = int(self.currency.read("decimals"))
        except Exception as error:
            raise ChainInputError(f"{self.currency.address} is no ERC-20 currency with decimals") from error
        if decimals != DECIMALS:
            raise ChainInputError(
                f"the currency at {self.currency.address} has {decimals} decimals; settlement is in millionths: "
                f"it needs one with {DECIMALS}"
            )

    def close(self) -> None:
        """Release the node."""
        self._outbox.close()
        self.node.close()

    def plan(self, totals_micro: Mapping[str, int]) -> Plan:
        """What raising deposits to these totals takes; nothing is sent."""
        states = self.contract.read("accountsOf", [account_id(name) for name in totals_micro])
        pairs = list(zip(totals_micro, states, strict=True))
        raised = {name: totals_micro[name] for name, state in pairs if totals_micro[name] > state[2]}
        payer = self.keys.operator.address
        return Plan(
            payer,
            tuple(name for name, state in pairs if state[0] == ZERO_ADDRESS),
            raised,
            tuple(name for name in totals_micro if name not in raised),
            sum(raised[name] - int(state[2]) for name, state in pairs if name in raised),
            int(self.currency.read("balanceOf", payer)),
            int(self.currency.read("allowance", payer, self.contract.address)),
        )

    def pay(self, plan: Plan, owner: str = "") -> None:
        """Do it. Raises ChainInputError where it cannot be done: what can be known before is told before."""
        holder = check_address(owner, "owner") if owner else plan.payer
        if self.contract.read("paused"):
            raise ChainInputError("the contract is paused: it takes no deposits now")
        role = bytes(self.contract.read("REGISTRAR_ROLE"))
        if plan.opened and not self.contract.read("hasRole", role, plan.payer):
            raise ChainInputError(
                f"{len(plan.opened)} accounts are not open ({', '.join(plan.opened[:5])}) and {plan.payer} may not "
                "open them: it lacks REGISTRAR_ROLE"
            )
        if plan.lacks_micro and not self.keys.public:
            raise ChainInputError(
                f"the payer {plan.payer} has {told(plan.balance_micro)} of the currency, and "
                f"{told(plan.sum_micro)} are to be paid"
            )
        if plan.lacks_micro:
            self._send("mint", self.currency, plan.payer, plan.lacks_micro)
        for start in range(0, len(plan.opened), AT_ONCE):
            names = list(plan.opened[start : start + AT_ONCE])
            self._send("openAccounts", self.contract, names, [holder] * len(names))
        if plan.allowance_micro < plan.sum_micro:
            self._send("approve", self.currency, self.contract.address, plan.sum_micro)
        raised = list(plan.raised_micro.items())
        for start in range(0, len(raised), AT_ONCE):
            part = raised[start : start + AT_ONCE]
            self._send(
                "deposit", self.contract, [account_id(n) for n, _ in part], [total for _, total in part]
            )

    def _send(self, name: str, contract: Contract, *args: Any) -> None:
        """One transaction, tried before it is signed."""
        data = contract.data(name, *args)
        try:
            self.node.call(contract.address, data, self.keys.operator.address)
        except RevertedError as error:
            raise ChainInputError(f"{name} is refused: {contract.reason(error)}") from error
        self._outbox.post(Post(SETUP, name, contract.address, data, 300_000 + 1_500 * len(data)))
        wait_idle(self._outbox, poll_s=0.05)
        row = self._outbox.rows(SETUP, name)[-1]
        if row["status"] != "confirmed":
            raise ChainError(
                f"{name} failed (transaction {row['hash']}); give the command again: a total is never paid twice"
            )


def told(micro: int) -> str:
    """An amount in the currency; an allowance may be without bounds."""
    if micro > MOST_MICRO:
        return "unlimited"
    return f"{micro // 1_000_000}.{micro % 1_000_000:06d}"
