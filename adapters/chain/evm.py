"""An Ethereum chain in memory: py-evm's virtual machine, with a mempool, blocks and a clock that is told.

Nothing here is random or taken from the wall clock: the same transactions give the same hashes and gas. The
canonical chain is this class's own list of blocks, so a reorganisation is cutting the list and mining again.
"""

from dataclasses import dataclass
from typing import Any

from adapters.chain.errors import ChainError

FUNDED_WEI = 10**24
GAS_LIMIT = 30_000_000
TX_GAS_CAP = 2**24
"""EIP-7825; py-evm ends at Prague and does not know it, so it is enforced here."""


class TransactionRefusedError(ChainError):
    """The node would not take a transaction (nonce, funds, chain id, size): nothing happened."""


class ExecutionRevertedError(ChainError):
    """A call or an estimate reverted; ``data`` is what the contract returned."""

    def __init__(self, data: bytes, text: str = "execution reverted") -> None:
        self.data = data
        super().__init__(text)


@dataclass(frozen=True)
class Mined:
    """A transaction in a block."""

    hash: bytes
    transaction: Any
    receipt: Any
    gas_used: int
    block_number: int
    index: int
    log_offset: int
    contract: bytes | None


@dataclass(frozen=True)
class EvmBlock:
    """A block and what is in it."""

    header: Any
    transactions: tuple[Mined, ...]

    @property
    def number(self) -> int:
        """Height."""
        return int(self.header.block_number)

    @property
    def hash(self) -> bytes:
        """Block hash."""
        return bytes(self.header.hash)


class Evm:
    """A chain of one node. ``auto_mine`` puts every accepted transaction into a block of its own at once."""

    def __init__(self, chain_id: int, genesis_time_s: int, funded: tuple[bytes, ...], auto_mine: bool = True):
        self.chain_id = chain_id
        self.auto_mine = auto_mine
        self._chain = _new_chain(chain_id, genesis_time_s, funded)
        self.blocks: list[EvmBlock] = [EvmBlock(self._chain.get_canonical_head(), ())]
        self.mined: dict[bytes, Mined] = {}
        self.pending: dict[bytes, Any] = {}
        self._next_time_s: int | None = None
        self._salt = 0

    @property
    def head(self) -> EvmBlock:
        """Newest block."""
        return self.blocks[-1]

    def set_next_time(self, time_s: int) -> None:
        """Timestamp of the next block. Raises TransactionRefusedError unless it is later than the head's."""
        if not time_s > self.head.header.timestamp:
            raise TransactionRefusedError(
                f"time {time_s} is not after the newest block's {self.head.header.timestamp}"
            )
        self._next_time_s = time_s

    def send_raw(self, raw: bytes) -> bytes:
        """Take a signed transaction into the pool (a gap in nonces waits). Returns its hash."""
        transaction = self._decode(raw)
        digest = bytes(transaction.hash)
        if digest in self.mined or digest in self.pending:
            raise TransactionRefusedError("already known")
        self._check(transaction)
        rivals = [
            h
            for h, t in self.pending.items()
            if t.sender == transaction.sender and t.nonce == transaction.nonce
        ]
        for rival in rivals:
            if transaction.max_fee_per_gas * 10 < self.pending[rival].max_fee_per_gas * 11:
                raise TransactionRefusedError("replacement transaction underpriced")
            del self.pending[rival]
        self.pending[digest] = transaction
        if self.auto_mine:
            self.mine()
        return digest

    def mine(self, branch: bytes | None = None) -> EvmBlock:
        """Make a block of what is executable in the pool, in order of price-free arrival and nonce.

        ``branch`` marks the block (extra data), so that branches differ; None: as many as there were.
        """
        header = self._chain.create_header_from_parent(self.head.header)
        time_s = self._next_time_s or self.head.header.timestamp + 1
        self._next_time_s = None
        if branch is None:
            branch = self._salt.to_bytes(8, "big") if self._salt else b""
        self._chain.header = header.copy(timestamp=time_s, extra_data=branch)
        number, log_offset = self.head.number + 1, 0
        mined: list[Mined] = []
        while (picked := self._executable()) is not None:
            digest, transaction = picked
            del self.pending[digest]
            entry = self._apply(digest, transaction, number, len(mined), log_offset)
            if entry is None:
                continue
            mined.append(entry)
            log_offset += len(entry.receipt.logs)
        # prevrandao from the parent, not from the operating system: the chain must be reproducible
        block = self._chain.mine_block(coinbase=bytes(20), mix_hash=self.head.hash)
        self.blocks.append(EvmBlock(block.header, tuple(mined)))
        self.mined.update({entry.hash: entry for entry in mined})
        return self.head

    def reorganise(self, depth: int, keep: bool = True) -> None:
        """Cut ``depth`` blocks, mine as many others; cut transactions return to the pool (``keep``)."""
        if not 0 < depth < len(self.blocks):
            raise ChainError(f"cannot reorganise {depth} of {len(self.blocks) - 1} blocks")
        cut = self.blocks[-depth:]
        del self.blocks[-depth:]
        self._salt += 1
        for block in cut:
            for entry in block.transactions:
                del self.mined[entry.hash]
                if keep:
                    self.pending[entry.hash] = entry.transaction
        for block in cut:
            if block.header.timestamp > self.head.header.timestamp:
                self._next_time_s = block.header.timestamp
            self.mine()

    def call(
        self, sender: bytes, to: bytes, data: bytes, value: int = 0, block: EvmBlock | None = None
    ) -> bytes:
        """Execute without a transaction on the state after ``block``. Raises ExecutionRevertedError."""
        computation = self._execute(sender, to, data, value, GAS_LIMIT - 1, block or self.head)
        if computation.is_error:
            raise _reverted(computation)
        return bytes(computation.output)

    def estimate_gas(self, sender: bytes, to: bytes, data: bytes, value: int = 0) -> int:
        """Gas that a transaction needs, refunds not counted, with one part in 32 to spare for inner calls."""
        computation = self._execute(sender, to, data, value, GAS_LIMIT - 1, self.head)
        if computation.is_error:
            raise _reverted(computation)
        spoof = self._spoof(sender, to, data, value, GAS_LIMIT - 1, self.head)
        return int((computation.get_gas_used() + spoof.intrinsic_gas) * 33 // 32)

    def state(self, block: EvmBlock | None = None) -> Any:
        """py-evm's state after a block (balances, nonces, code, storage)."""
        return self._chain.get_vm((block or self.head).header).state

    def _decode(self, raw: bytes) -> Any:
        from eth_utils.exceptions import ValidationError
        from rlp.exceptions import DecodingError  # type: ignore[import-untyped]

        try:
            transaction = self._chain.get_vm(self.head.header).get_transaction_builder().decode(raw)
            transaction.validate()
            _ = transaction.sender
        except (ValidationError, DecodingError, ValueError, TypeError, AssertionError) as error:
            raise TransactionRefusedError(f"transaction cannot be read: {error}") from error
        return transaction

    def _check(self, transaction: Any) -> None:
        if transaction.chain_id != self.chain_id:
            raise TransactionRefusedError(f"chain id {transaction.chain_id}, this chain is {self.chain_id}")
        if transaction.gas > TX_GAS_CAP:
            raise TransactionRefusedError(f"gas {transaction.gas} exceeds the cap of {TX_GAS_CAP} (EIP-7825)")
        if transaction.gas < transaction.intrinsic_gas:
            raise TransactionRefusedError("intrinsic gas too low")
        state = self.state()
        if transaction.nonce < state.get_nonce(transaction.sender):
            raise TransactionRefusedError("nonce too low")
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if state.get_balance(transaction.sender) < cost:
            raise TransactionRefusedError("insufficient funds for gas * price + value")

    def _executable(self) -> tuple[bytes, Any] | None:
        vm = self._chain.get_vm(self._chain.header)
        room = self._chain.header.gas_limit - self._chain.header.gas_used
        base_fee = self._chain.header.base_fee_per_gas
        for digest, transaction in self.pending.items():
            if transaction.gas > room or transaction.max_fee_per_gas < base_fee:
                continue
            if vm.state.get_nonce(transaction.sender) == transaction.nonce:
                return digest, transaction
        return None

    def _apply(
        self, digest: bytes, transaction: Any, number: int, index: int, log_offset: int
    ) -> Mined | None:
        from eth_utils.exceptions import ValidationError

        before = self._chain.header.gas_used
        try:
            block, receipt, computation = self._chain.apply_transaction(transaction)
        except ValidationError:
            return None  # funds spent meanwhile: a node drops it as well
        created = bytes(computation.msg.storage_address) if transaction.to == b"" else None
        used = block.header.gas_used - before
        return Mined(digest, transaction, receipt, used, number, index, log_offset, created)

    def _spoof(self, sender: bytes, to: bytes, data: bytes, value: int, gas: int, block: EvmBlock) -> Any:
        from eth.vm.spoof import SpoofTransaction

        builder = self._chain.get_vm(block.header).get_transaction_builder()
        nonce = self.state(block).get_nonce(sender)
        unsigned = builder.create_unsigned_transaction(
            nonce=nonce, gas_price=0, gas=gas, to=to, value=value, data=data
        )
        return SpoofTransaction(unsigned, from_=sender)

    def _execute(self, sender: bytes, to: bytes, data: bytes, value: int, gas: int, block: EvmBlock) -> Any:
        vm = self._chain.get_vm(block.header)
        # Not py-evm's own costless state: that one takes its timestamp from the wall clock.
        free = block.header.copy(base_fee_per_gas=0)
        state = vm.build_state(self._chain.chaindb.db, free, vm.chain_context, vm.previous_hashes)
        return state.costless_execute_transaction(self._spoof(sender, to, data, value, gas, block))


def _reverted(computation: Any) -> ExecutionRevertedError:
    from eth.exceptions import Revert

    error = computation._error
    if isinstance(error, Revert):
        return ExecutionRevertedError(bytes(error.args[0]) if error.args else b"")
    return ExecutionRevertedError(b"", f"execution failed: {type(error).__name__}")


def _new_chain(chain_id: int, genesis_time_s: int, funded: tuple[bytes, ...]) -> Any:
    from eth import constants
    from eth.chains.base import MiningChain
    from eth.db.atomic import AtomicDB
    from eth.vm.forks.prague import PragueVM

    forks: Any = ((0, PragueVM),)

    class _Chain(MiningChain):
        def create_header_from_parent(self, parent_header: Any, **params: Any) -> Any:
            return super().create_header_from_parent(
                parent_header, **{**params, "gas_limit": parent_header.gas_limit}
            )

    _Chain.chain_id = chain_id
    _Chain.vm_configuration = forks
    genesis: Any = {
        "coinbase": bytes(20),
        "difficulty": constants.POST_MERGE_DIFFICULTY,
        "extra_data": b"",
        "gas_limit": GAS_LIMIT,
        "mix_hash": constants.POST_MERGE_MIX_HASH,
        "nonce": constants.POST_MERGE_NONCE,
        "receipt_root": constants.BLANK_ROOT_HASH,
        "timestamp": genesis_time_s,
        "transaction_root": constants.BLANK_ROOT_HASH,
    }
    account: Any = {"balance": FUNDED_WEI, "storage": {}, "code": b"", "nonce": 0}
    state: Any = {address: dict(account) for address in funded}
    return _Chain.from_genesis(AtomicDB(), genesis, state)
