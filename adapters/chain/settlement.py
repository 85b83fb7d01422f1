"""Batches on one deployed ``EnergySettlement``: accounts, deposits, proposing, finalising, reading back."""

from dataclasses import dataclass, replace
from typing import Any

from adapters.chain import typed
from adapters.chain.artefacts import Artefact, check_deployed, load_artefact
from adapters.chain.errors import BatchRefusedError, ChainError
from adapters.chain.keys import KeyRing
from adapters.chain.port import BatchReceipt, SettlementBatch
from adapters.chain.transactor import Transactor, deploy

PREFUND_MICRO = 10**12
"""Play money deposited for an account of the embedded chain at its first debit (a million)."""
DOUBLES = ("BadPeriod", "AlreadySettled")
"""Refusals that mean the period is settled already: the next batch may go on."""


@dataclass(frozen=True)
class Terms:
    """What a deployment fixes, in simulated seconds."""

    market_id: str
    window_s: int = 21_600
    withdraw_delay_s: int = 172_800


@dataclass
class _Entry:
    """A batch on its way."""

    batch: SettlementBatch
    receipt: BatchReceipt
    header: typed.Header | None = None
    positions: typed.Positions = ()
    deadline_s: int = 0


class Settlement:
    """Settles batches one after the other through one operator. ``clock`` moves the chain's time."""

    def __init__(
        self, w3: Any, keys: KeyRing, terms: Terms, address: str, token: str, clock: Any = None
    ) -> None:
        self.w3, self.keys, self.terms, self.clock = w3, keys, terms, clock
        self.address, self.token = address, token
        self.artefact: Artefact = load_artefact("EnergySettlement")
        self.transactor = Transactor(w3, keys.operator)
        check_deployed(bytes(w3.eth.get_code(address)), self.artefact, address)
        self.contract = w3.eth.contract(address=address, abi=self.artefact.abi)
        self.currency = w3.eth.contract(address=token, abi=load_artefact("TestCurrency").abi)
        self._market = typed.market_key(terms.market_id)
        self._head = bytes(self.contract.functions.head().call())
        self._epoch = int(self.contract.functions.epoch().call())
        self._names: dict[str, int] = {}
        """Accounts opened here, with a lower bound of their balance (credits are not counted)."""
        self._deposited: dict[str, int] = {}
        self.entries: list[_Entry] = []
        self.refused: str | None = None

    def process(self, batch: SettlementBatch) -> BatchReceipt:
        """Finalise what is due, then record one batch. A refusal is a receipt with status 'rejected'."""
        if self.refused is not None:
            return self._reject(batch, f"not sent: an earlier batch was refused ({self.refused})")
        self._move_clock(batch.period_end_s)
        self.finalise_due()
        try:
            return self._propose(batch)
        except BatchRefusedError as error:
            if not str(error).startswith(DOUBLES):
                self.refused = str(error)
            return self._reject(batch, str(error))

    def finish(self) -> list[BatchReceipt]:
        """Let the last window pass, if the chain's time can be moved, and finalise. Receipts in order."""
        open_entries = [e for e in self.entries if e.receipt.status == "proposed"]
        if open_entries:
            self._move_clock(max(e.deadline_s for e in open_entries))
            self.finalise_due()
        return [entry.receipt for entry in self.entries]

    def nets_micro(self) -> dict[str, int]:
        """What every account gained by batches, read from the contract, deposits and withdrawals left out."""
        names = list(self._names)
        nets = self.contract.functions.netOf([typed.account_id(name) for name in names]).call()
        return dict(zip(names, (int(n) for n in nets), strict=True))

    def money_sum_micro(self) -> int:
        """The contract's own sum over all accounts and all money on its way. Zero, always."""
        return int(self.contract.functions.moneySum().call())

    def finalise_due(self) -> None:
        """Finalise, in order, every batch whose window has passed by the newest block's time."""
        for entry in self.entries:
            if entry.receipt.status != "proposed":
                continue
            if not self._now_s() >= entry.deadline_s or entry.header is None:
                return
            data = self._call("finalise", entry.header.values(), entry.positions)
            gas = 150_000 + 40_000 * len(entry.positions)
            result = self.transactor.send(self.address, data, gas, self.artefact)
            entry.receipt = replace(entry.receipt, status="final", gas_finalise=result.gas)

    def _propose(self, batch: SettlementBatch) -> BatchReceipt:
        gas_setup = self._open_accounts(batch) + self._fund(batch)
        header = typed.header_of(batch, self._head, self._epoch)
        positions = typed.positions_of(batch)
        struct = typed.batch_id(self._market, header, positions)
        digest = typed.typed_digest(self.transactor.chain_id, self.address, struct)
        signatures = [(i, o.sign(digest)) for i, o in enumerate(self.keys.oracles[: self.keys.threshold])]
        data = self._call("propose", header.values(), positions, signatures)
        gas = 300_000 + 40_000 * len(positions) + 40_000 * len(signatures)
        result = self.transactor.send(self.address, data, gas, self.artefact)
        self._head = struct
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            self._names[name] += min(delta, 0)
        receipt = BatchReceipt(
            digest=batch.digest,
            transaction=result.hash,
            block_number=result.block_number,
            gas=result.gas,
            status="proposed",
            batch_id="0x" + struct.hex(),
            gas_setup=gas_setup,
        )
        deadline = self._now_s() + self.terms.window_s
        self.entries.append(_Entry(batch, receipt, header, positions, deadline))
        return receipt

    def _reject(self, batch: SettlementBatch, reason: str) -> BatchReceipt:
        receipt = BatchReceipt(batch.digest, "", 0, 0, "rejected", reason)
        self.entries.append(_Entry(batch, receipt))
        return receipt

    def _open_accounts(self, batch: SettlementBatch) -> int:
        new = sorted(name for name in batch.accounts if name not in self._names)
        gas = 0
        for start in range(0, len(new), 100):
            names = new[start : start + 100]
            data = self._call("openAccounts", names, [self.keys.operator.address] * len(names))
            gas += self.transactor.send(self.address, data, 100_000 + 100_000 * len(names), self.artefact).gas
            self._names.update(dict.fromkeys(names, 0))
        return gas

    def _fund(self, batch: SettlementBatch) -> int:
        """Deposit play money for accounts that could not pay their debit."""
        debits = {n: -d for n, d in zip(batch.accounts, batch.deltas_micro, strict=True) if d < 0}
        if not any(self._names[name] < debit for name, debit in debits.items()):
            return 0
        names = sorted(debits)
        balances = self.contract.functions.balancesOf([typed.account_id(n) for n in names]).call()
        self._names.update(dict(zip(names, balances, strict=True)))
        short = [name for name in names if self._names[name] < debits[name]]
        if not short:
            return 0
        if not self.keys.public:
            raise BatchRefusedError(f"accounts cannot pay their debit, deposit first: {', '.join(short)}")
        raises = {name: max(PREFUND_MICRO, 2 * debits[name]) for name in short}
        mint = self.currency.encode_abi("mint", args=[self.keys.operator.address, sum(raises.values())])
        gas = self.transactor.send(self.token, bytes.fromhex(mint[2:]), 200_000).gas
        totals = [self._deposited.get(name, 0) + raises[name] for name in short]
        data = self._call("deposit", [typed.account_id(name) for name in short], totals)
        gas += self.transactor.send(self.address, data, 200_000 + 70_000 * len(short), self.artefact).gas
        for name, total in zip(short, totals, strict=True):
            self._names[name] += raises[name]
            self._deposited[name] = total
        return gas

    def _call(self, name: str, *args: Any) -> bytes:
        return bytes.fromhex(self.contract.encode_abi(name, args=list(args))[2:])

    def _now_s(self) -> int:
        return int(self.w3.eth.get_block("latest")["timestamp"])

    def _move_clock(self, time_s: int) -> None:
        if self.clock is not None and time_s > self._now_s():
            self.clock(time_s)


def deploy_settlement(w3: Any, keys: KeyRing, terms: Terms, clock: Any = None) -> Settlement:
    """Deploy play money and the settlement contract on a development chain, give the operator its roles."""
    from eth_hash.auto import keccak

    if not keys.public:
        raise ChainError("play money is for development chains; give the address of the currency's contract")
    operator = keys.operator.address
    transactor = Transactor(w3, keys.operator)
    token, _ = deploy(transactor, load_artefact("TestCurrency"), ["address"], [operator])
    artefact = load_artefact("EnergySettlement")
    oracles = [oracle.address for oracle in keys.oracles]
    address, _ = deploy(
        transactor,
        artefact,
        ["address", "bytes32", "uint64", "uint64", "address", "address[]", "uint8"],
        [
            token,
            typed.market_key(terms.market_id),
            terms.window_s,
            terms.withdraw_delay_s,
            operator,
            oracles,
            keys.threshold,
        ],
    )
    contract = w3.eth.contract(address=address, abi=artefact.abi)
    for role in ("PROPOSER_ROLE", "REGISTRAR_ROLE", "DISPUTER_ROLE", "ARBITER_ROLE", "PAUSER_ROLE"):
        data = contract.encode_abi("grantRole", args=[keccak(role.encode()), operator])
        transactor.send(address, bytes.fromhex(data[2:]), 200_000, artefact)
    currency = w3.eth.contract(address=token, abi=load_artefact("TestCurrency").abi)
    approval = currency.encode_abi("approve", args=[address, 2**256 - 1])
    transactor.send(token, bytes.fromhex(approval[2:]), 200_000)
    return Settlement(w3, keys, terms, address, token, clock)
