// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// @title Netted settlement of one energy market in one currency.
/// @notice Money enters by deposit and leaves by withdrawal; a batch only moves it between accounts.
///         A debit is taken when a batch is proposed and the matching credits are given when it is final, so
///         nothing is ever credited that was not debited before, and a broke account refuses a whole batch.
///         A batch is one struct whose hash is its id; the id commits to the one before it (`prev`), so batches
///         form a hash chain and each can be settled only once. Only status and deadline are stored: whoever
///         finalises or rejects a batch shows the struct again.
/// @dev Amounts are millionths of the currency and fit int64, as in the off-chain core.
contract EnergySettlement is AccessControl, Pausable, ReentrancyGuard, EIP712 {
    using SafeERC20 for IERC20;

    bytes32 public constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");
    bytes32 public constant DISPUTER_ROLE = keccak256("DISPUTER_ROLE");
    bytes32 public constant ARBITER_ROLE = keccak256("ARBITER_ROLE");
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    bytes32 public constant BATCH_TYPEHASH = keccak256(
        "Batch(bytes32 market,bytes32 prev,uint64 periodStart,uint64 periodEnd,uint32 epoch,uint64 grossEnergyWh,"
        "bytes32 fillsRoot,bytes32 readingsRoot,bytes32 digest,bytes positions)"
    );

    uint256 private constant POSITION_BYTES = 40;

    enum Status {
        NONE,
        PROPOSED,
        DISPUTED,
        FINAL,
        REJECTED
    }

    /// @dev The contract adds its market and the positions to make the id. Positions are packed: 40 bytes each,
    ///      account id (32) and signed delta (8, big-endian), ascending by account.
    struct Batch {
        bytes32 prev;
        uint64 periodStart;
        uint64 periodEnd;
        uint32 epoch;
        uint64 grossEnergyWh;
        bytes32 fillsRoot;
        bytes32 readingsRoot;
        bytes32 digest;
    }

    struct Signature {
        uint8 oracle;
        bytes signature;
    }

    struct Record {
        Status status;
        uint64 periodEnd;
        uint64 deadline;
    }

    struct Account {
        address owner;
        uint96 balance;
        uint128 deposited;
        uint128 withdrawn;
    }

    struct Withdrawal {
        uint96 amount;
        uint64 readyAt;
    }

    IERC20 public immutable token;
    bytes32 public immutable market;
    uint64 public immutable windowS;
    uint64 public immutable withdrawDelayS;

    bytes32 public head;
    uint128 public reserved;
    uint32 public epoch;
    uint8 public threshold;
    address[] private _oracles;
    bytes32[] private _accountIds;
    mapping(bytes32 => Account) private _accounts;
    mapping(bytes32 => Record) private _records;
    mapping(bytes32 => Withdrawal) private _withdrawals;

    event AccountOpened(bytes32 indexed account, string name, address owner);
    event OwnerChanged(bytes32 indexed account, address owner);
    event Deposited(bytes32 indexed account, uint128 total);
    event WithdrawalRequested(bytes32 indexed account, uint96 amount, uint64 readyAt);
    event Withdrawn(bytes32 indexed account, address to, uint96 amount);
    event OraclesChanged(uint32 epoch, address[] oracles, uint8 threshold);
    event BatchProposed(bytes32 indexed id, Batch batch, uint256 positions, uint64 deadline);
    event BatchDisputed(bytes32 indexed id, address by, string reason);
    event DisputeDismissed(bytes32 indexed id, string reason);
    event BatchRejected(bytes32 indexed id, string reason);
    event BatchFinal(bytes32 indexed id);

    error AccountExists(string name);
    error UnknownAccount(bytes32 account);
    error NotOwner(bytes32 account, address caller);
    error ZeroAddress();
    error LengthMismatch();
    error TotalNotRising(bytes32 account, uint128 got, uint128 have);
    error AmountTooLarge();
    error InsufficientBalance(bytes32 account, uint256 balance, uint256 needed);
    error BadQuorum(uint256 oracles, uint8 threshold);
    error WrongPrev(bytes32 got, bytes32 head);
    error WrongEpoch(uint32 got, uint32 epoch);
    error BadPeriod(uint64 start, uint64 end, uint64 lastEnd);
    error AlreadySettled(bytes32 id);
    error WrongStatus(bytes32 id, Status status);
    error NotTip(bytes32 id, bytes32 head);
    error PrevNotFinal(bytes32 prev);
    error WindowOpen(uint64 deadline);
    error WindowClosed(uint64 deadline);
    error SumNotZero(int256 sum);
    error BadPositions(uint256 length);
    error PositionsNotSorted(uint256 index);
    error TooFewSignatures(uint256 got, uint8 threshold);
    error SignersNotRising(uint8 oracle);
    error BadSignature(uint8 oracle);
    error NothingToWithdraw(bytes32 account);
    error WithdrawalNotReady(uint64 readyAt);

    constructor(
        IERC20 token_,
        bytes32 market_,
        uint64 windowS_,
        uint64 withdrawDelayS_,
        address admin,
        address[] memory oracles_,
        uint8 threshold_
    ) EIP712("EnergySettlement", "1") {
        if (admin == address(0) || address(token_) == address(0)) revert ZeroAddress();
        token = token_;
        market = market_;
        windowS = windowS_;
        withdrawDelayS = withdrawDelayS_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _setOracles(oracles_, threshold_);
    }

    // ---- accounts and escrow ------------------------------------------------------------------------------

    /// @notice Open accounts by name; the id is the keccak-256 of the name.
    function openAccounts(string[] calldata names, address[] calldata owners) external onlyRole(REGISTRAR_ROLE) {
        if (names.length != owners.length) revert LengthMismatch();
        for (uint256 i = 0; i < names.length; ++i) {
            if (owners[i] == address(0)) revert ZeroAddress();
            bytes32 id = keccak256(bytes(names[i]));
            if (_accounts[id].owner != address(0)) revert AccountExists(names[i]);
            _accounts[id].owner = owners[i];
            _accountIds.push(id);
            emit AccountOpened(id, names[i], owners[i]);
        }
    }

    function setOwner(bytes32 account, address owner) external {
        _requireOwner(account);
        if (owner == address(0)) revert ZeroAddress();
        _accounts[account].owner = owner;
        emit OwnerChanged(account, owner);
    }

    /// @notice Raise the deposit of each account to a new total. Repeating a call moves nothing (it reverts).
    function deposit(bytes32[] calldata accounts, uint128[] calldata totals) external whenNotPaused nonReentrant {
        if (accounts.length != totals.length) revert LengthMismatch();
        uint256 sum = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            Account storage account = _accounts[accounts[i]];
            if (account.owner == address(0)) revert UnknownAccount(accounts[i]);
            if (totals[i] <= account.deposited) revert TotalNotRising(accounts[i], totals[i], account.deposited);
            uint256 amount = totals[i] - account.deposited;
            uint256 balance = uint256(account.balance) + amount;
            if (balance > type(uint96).max) revert AmountTooLarge();
            account.deposited = totals[i];
            account.balance = uint96(balance);
            sum += amount;
            emit Deposited(accounts[i], totals[i]);
        }
        token.safeTransferFrom(msg.sender, address(this), sum);
    }

    /// @notice Announce a withdrawal. Until it is ready, the money stays within reach of batches.
    function requestWithdrawal(bytes32 account, uint96 amount) external {
        _requireOwner(account);
        if (amount == 0) revert NothingToWithdraw(account);
        uint64 readyAt = uint64(block.timestamp) + withdrawDelayS;
        _withdrawals[account] = Withdrawal(amount, readyAt);
        emit WithdrawalRequested(account, amount, readyAt);
    }

    /// @notice Pull an announced withdrawal: at most the balance that is left. Open also while paused.
    function withdraw(bytes32 account) external nonReentrant {
        _requireOwner(account);
        Withdrawal memory wanted = _withdrawals[account];
        if (wanted.amount == 0) revert NothingToWithdraw(account);
        if (block.timestamp < wanted.readyAt) revert WithdrawalNotReady(wanted.readyAt);
        Account storage holder = _accounts[account];
        uint96 amount = wanted.amount < holder.balance ? wanted.amount : holder.balance;
        if (amount == 0) revert NothingToWithdraw(account);
        delete _withdrawals[account];
        holder.balance -= amount;
        holder.withdrawn += amount;
        emit Withdrawn(account, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    // ---- batches ------------------------------------------------------------------------------------------

    /// @notice Record a batch: takes all debits, starts the dispute window.
    function propose(Batch calldata batch, bytes calldata positions, Signature[] calldata signatures)
        external
        whenNotPaused
        onlyRole(PROPOSER_ROLE)
        returns (bytes32 id)
    {
        id = batchId(batch, positions);
        if (_records[id].status != Status.NONE) revert AlreadySettled(id);
        if (batch.prev != head) revert WrongPrev(batch.prev, head);
        if (batch.epoch != epoch) revert WrongEpoch(batch.epoch, epoch);
        uint64 lastEnd = _records[head].periodEnd;
        if (batch.periodStart < lastEnd || batch.periodEnd <= batch.periodStart) {
            revert BadPeriod(batch.periodStart, batch.periodEnd, lastEnd);
        }
        _checkSignatures(_hashTypedDataV4(id), signatures);
        reserved += _takeDebits(positions);
        uint64 deadline = uint64(block.timestamp) + windowS;
        _records[id] = Record(Status.PROPOSED, batch.periodEnd, deadline);
        head = id;
        emit BatchProposed(id, batch, positions.length / POSITION_BYTES, deadline);
    }

    /// @notice Give the credits of a batch whose window has passed undisputed. Anyone may call it, in order.
    function finalise(Batch calldata batch, bytes calldata positions) external whenNotPaused {
        bytes32 id = batchId(batch, positions);
        Record storage record = _records[id];
        if (record.status != Status.PROPOSED) revert WrongStatus(id, record.status);
        if (block.timestamp < record.deadline) revert WindowOpen(record.deadline);
        if (batch.prev != bytes32(0) && _records[batch.prev].status != Status.FINAL) revert PrevNotFinal(batch.prev);
        record.status = Status.FINAL;
        reserved -= _credit(positions, true);
        emit BatchFinal(id);
    }

    /// @notice Stop a proposed batch within its window.
    function dispute(bytes32 id, string calldata reason) external onlyRole(DISPUTER_ROLE) {
        Record storage record = _records[id];
        if (record.status != Status.PROPOSED) revert WrongStatus(id, record.status);
        if (block.timestamp >= record.deadline) revert WindowClosed(record.deadline);
        record.status = Status.DISPUTED;
        emit BatchDisputed(id, msg.sender, reason);
    }

    /// @notice Let a disputed batch go on: its window is what is left of it.
    function dismiss(bytes32 id, string calldata reason) external onlyRole(ARBITER_ROLE) {
        Record storage record = _records[id];
        if (record.status != Status.DISPUTED) revert WrongStatus(id, record.status);
        record.status = Status.PROPOSED;
        emit DisputeDismissed(id, reason);
    }

    /// @notice Undo the newest batch that is not final: debits return, and its period may be settled anew.
    /// @dev An earlier batch is reached by rejecting those after it first; they were built on it.
    function reject(Batch calldata batch, bytes calldata positions, string calldata reason)
        external
        onlyRole(ARBITER_ROLE)
    {
        bytes32 id = batchId(batch, positions);
        Record storage record = _records[id];
        if (record.status != Status.PROPOSED && record.status != Status.DISPUTED) {
            revert WrongStatus(id, record.status);
        }
        if (id != head) revert NotTip(id, head);
        record.status = Status.REJECTED;
        head = batch.prev;
        reserved -= _credit(positions, false);
        emit BatchRejected(id, reason);
    }

    // ---- administration -----------------------------------------------------------------------------------

    function setOracles(address[] calldata oracles_, uint8 threshold_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setOracles(oracles_, threshold_);
    }

    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    // ---- views --------------------------------------------------------------------------------------------

    /// @notice The id of a batch: the EIP-712 struct hash of all it says.
    function batchId(Batch calldata batch, bytes calldata positions) public view returns (bytes32) {
        return headerId(batch, keccak256(positions));
    }

    /// @notice The same from the hash of the positions, for those who only care about the roots.
    function headerId(Batch calldata batch, bytes32 positionsHash) public view returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    BATCH_TYPEHASH,
                    market,
                    batch.prev,
                    batch.periodStart,
                    batch.periodEnd,
                    batch.epoch,
                    batch.grossEnergyWh
                ),
                abi.encode(batch.fillsRoot, batch.readingsRoot, batch.digest, positionsHash)
            )
        );
    }

    /// @notice What the oracles sign.
    function typedDigest(bytes32 id) external view returns (bytes32) {
        return _hashTypedDataV4(id);
    }

    function recordOf(bytes32 id) external view returns (Record memory) {
        return _records[id];
    }

    function statusOf(bytes32 id) external view returns (Status) {
        return _records[id].status;
    }

    function oracles() external view returns (address[] memory) {
        return _oracles;
    }

    function accountCount() external view returns (uint256) {
        return _accountIds.length;
    }

    function accountIds(uint256 from, uint256 count) external view returns (bytes32[] memory ids) {
        uint256 n = _accountIds.length;
        if (from > n) from = n;
        if (count > n - from) count = n - from;
        ids = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = _accountIds[from + i];
        }
    }

    /// @notice Owner (zero: not open), free balance, deposits and withdrawals of each account.
    function accountsOf(bytes32[] calldata ids) external view returns (Account[] memory accounts) {
        accounts = new Account[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            accounts[i] = _accounts[ids[i]];
        }
    }

    function withdrawalOf(bytes32 account) external view returns (Withdrawal memory) {
        return _withdrawals[account];
    }

    /// @notice What each account gained by batches: balance less deposits plus withdrawals.
    function netOf(bytes32[] calldata accounts) external view returns (int256[] memory nets) {
        nets = new int256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            nets[i] = _net(accounts[i]);
        }
    }

    /// @notice The sum over all accounts of what batches gave and took, plus what is on its way. Always zero.
    function moneySum() external view returns (int256 sum) {
        sum = int256(uint256(reserved));
        for (uint256 i = 0; i < _accountIds.length; ++i) {
            sum += _net(_accountIds[i]);
        }
    }

    // ---- inside -------------------------------------------------------------------------------------------

    function _net(bytes32 id) private view returns (int256) {
        Account storage account = _accounts[id];
        return int256(uint256(account.balance)) + int256(uint256(account.withdrawn))
            - int256(uint256(account.deposited));
    }

    function _requireOwner(bytes32 account) private view {
        if (_accounts[account].owner != msg.sender) revert NotOwner(account, msg.sender);
    }

    function _setOracles(address[] memory oracles_, uint8 threshold_) private {
        // A majority: two disjoint quorums could otherwise sign two truths.
        if (oracles_.length > 32 || threshold_ > oracles_.length || 2 * uint256(threshold_) <= oracles_.length) {
            revert BadQuorum(oracles_.length, threshold_);
        }
        for (uint256 i = 0; i < oracles_.length; ++i) {
            if (oracles_[i] == address(0)) revert ZeroAddress();
            for (uint256 j = 0; j < i; ++j) {
                if (oracles_[i] == oracles_[j]) revert BadQuorum(oracles_.length, threshold_);
            }
        }
        _oracles = oracles_;
        threshold = threshold_;
        ++epoch;
        emit OraclesChanged(epoch, oracles_, threshold_);
    }

    function _checkSignatures(bytes32 digest, Signature[] calldata signatures) private view {
        if (signatures.length < threshold) revert TooFewSignatures(signatures.length, threshold);
        for (uint256 i = 0; i < signatures.length; ++i) {
            uint8 oracle = signatures[i].oracle;
            // Rising indices: nobody is counted twice.
            if (oracle >= _oracles.length || (i > 0 && oracle <= signatures[i - 1].oracle)) {
                revert SignersNotRising(oracle);
            }
            if (!SignatureChecker.isValidSignatureNow(_oracles[oracle], digest, signatures[i].signature)) {
                revert BadSignature(oracle);
            }
        }
    }

    function _takeDebits(bytes calldata positions) private returns (uint128 debits) {
        if (positions.length % POSITION_BYTES != 0) revert BadPositions(positions.length);
        uint256 count = positions.length / POSITION_BYTES;
        int256 sum = 0;
        bytes32 last = bytes32(0);
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 id, int256 delta) = _position(positions, i);
            if (id <= last) revert PositionsNotSorted(i);
            last = id;
            Account storage account = _accounts[id];
            (address owner, uint256 balance) = (account.owner, account.balance);
            if (owner == address(0)) revert UnknownAccount(id);
            sum += delta;
            if (delta < 0) {
                uint256 debit = uint256(-delta);
                if (balance < debit) revert InsufficientBalance(id, balance, debit);
                account.balance = uint96(balance - debit);
                debits += uint128(debit);
            }
        }
        if (sum != 0) revert SumNotZero(sum);
    }

    /// @dev Credits the gainers (`forward`) or gives the debits back; the total is the same.
    function _credit(bytes calldata positions, bool forward) private returns (uint128 credits) {
        uint256 count = positions.length / POSITION_BYTES;
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 id, int256 delta) = _position(positions, i);
            if (!forward) delta = -delta;
            if (delta <= 0) continue;
            Account storage account = _accounts[id];
            uint256 balance = uint256(account.balance) + uint256(delta);
            if (balance > type(uint96).max) revert AmountTooLarge();
            account.balance = uint96(balance);
            credits += uint128(uint256(delta));
        }
    }

    /// @dev The caller has made sure that position `i` lies within `positions`. An int64 comes out sign-extended.
    function _position(bytes calldata positions, uint256 i) private pure returns (bytes32 id, int256 delta) {
        assembly ("memory-safe") {
            let at := add(positions.offset, mul(i, 40))
            id := calldataload(at)
            delta := sar(192, calldataload(add(at, 32)))
        }
    }
}
