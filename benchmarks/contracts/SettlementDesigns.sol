// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Sha256Merkle} from "Sha256Merkle.sol";

/// @title Other ways to settle, to be measured against the netted one. Never deployed by the product.
/// @notice Each design gives what it can of the netted contract's guarantees: once only, debits before credits, and,
///         where there is a batch, 3 of 5 oracle signatures and a window between recording and finality.
contract SettlementDesigns {
    struct Account {
        address owner;
        uint96 balance;
    }

    struct Record {
        uint8 status;
        uint64 deadline;
        bytes32 content;
    }

    uint64 public constant WINDOW_S = 21_600;
    uint256 private constant TRADE_BYTES = 12;

    address public immutable operator;
    address[] private _oracles;
    mapping(uint16 => Account) private _accounts;
    mapping(bytes32 => bool) public settled;
    mapping(bytes32 => Record) private _records;
    mapping(bytes32 => mapping(uint256 => uint256)) private _claimed;

    event Traded(bytes32 indexed id, uint16 seller, uint16 buyer, uint64 amount);
    event Recorded(bytes32 indexed id, bytes32 content, uint64 deadline);
    event Final(bytes32 indexed id);
    event Claimed(bytes32 indexed id, uint16 account, int64 delta);

    error Refused(string why);

    constructor(address[] memory oracles) {
        operator = msg.sender;
        _oracles = oracles;
    }

    function fund(uint16 count, uint96 amount) external {
        for (uint16 i = 0; i < count; ++i) {
            _accounts[i] = Account(msg.sender, amount);
        }
    }

    function balanceOf(uint16 account) external view returns (uint96) {
        return _accounts[account].balance;
    }

    // ---- one transaction per trade

    function direct(bytes32 id, uint16 seller, uint16 buyer, uint64 amount) external {
        _operator();
        if (settled[id]) revert Refused("twice");
        settled[id] = true;
        _accounts[buyer].balance -= amount;
        _accounts[seller].balance += amount;
        emit Traded(id, seller, buyer, amount);
    }

    // ---- one batch with every trade in it: seller (2 bytes), buyer (2), amount (8)

    function proposeTrades(bytes32 id, bytes calldata trades, bytes[] calldata signatures) external {
        _record(id, keccak256(trades), signatures);
        for (uint256 offset = 0; offset < trades.length; offset += TRADE_BYTES) {
            (uint16 seller, uint16 buyer, uint64 amount) = _trade(trades, offset);
            _accounts[buyer].balance -= amount;
            emit Traded(id, seller, buyer, amount);
        }
    }

    function finaliseTrades(bytes32 id, bytes calldata trades) external {
        _finalise(id, keccak256(trades));
        for (uint256 offset = 0; offset < trades.length; offset += TRADE_BYTES) {
            (uint16 seller,, uint64 amount) = _trade(trades, offset);
            _accounts[seller].balance += amount;
        }
    }

    // ---- a Merkle root of net positions; each account's is applied when somebody shows it

    function proposeRoot(bytes32 id, bytes32 root, bytes[] calldata signatures) external {
        _record(id, root, signatures);
    }

    function finaliseRoot(bytes32 id) external {
        _finalise(id, _records[id].content);
    }

    function claim(bytes32 id, uint16 account, int64 delta, bytes32[] calldata siblings, uint256 leftBits) external {
        Record memory record = _records[id];
        if (record.status != 2) revert Refused("not final");
        uint256 word = _claimed[id][account >> 8];
        uint256 bit = 1 << (account & 0xff);
        if (word & bit != 0) revert Refused("twice");
        _claimed[id][account >> 8] = word | bit;
        if (!Sha256Merkle.verify(abi.encodePacked("net", account, delta), siblings, leftBits, record.content)) {
            revert Refused("not in the tree");
        }
        if (delta < 0) _accounts[account].balance -= uint96(uint64(-delta));
        else _accounts[account].balance += uint96(uint64(delta));
        emit Claimed(id, account, delta);
    }

    // ---- inside

    function _operator() private view {
        if (msg.sender != operator) revert Refused("not the operator");
    }

    function _record(bytes32 id, bytes32 content, bytes[] calldata signatures) private {
        _operator();
        if (_records[id].status != 0) revert Refused("twice");
        bytes32 digest = keccak256(abi.encode(block.chainid, address(this), id, content));
        if (signatures.length < 3) revert Refused("quorum");
        for (uint256 i = 0; i < signatures.length; ++i) {
            bytes calldata s = signatures[i];
            if (ecrecover(digest, uint8(s[64]), bytes32(s[:32]), bytes32(s[32:64])) != _oracles[i]) {
                revert Refused("signature");
            }
        }
        uint64 deadline = uint64(block.timestamp) + WINDOW_S;
        _records[id] = Record(1, deadline, content);
        emit Recorded(id, content, deadline);
    }

    function _finalise(bytes32 id, bytes32 content) private {
        Record storage record = _records[id];
        if (record.status != 1 || record.content != content) revert Refused("not recorded");
        if (block.timestamp < record.deadline) revert Refused("window");
        record.status = 2;
        emit Final(id);
    }

    function _trade(bytes calldata trades, uint256 offset) private pure returns (uint16, uint16, uint64) {
        return (
            uint16(bytes2(trades[offset:offset + 2])),
            uint16(bytes2(trades[offset + 2:offset + 4])),
            uint64(bytes8(trades[offset + 4:offset + 12]))
        );
    }
}
