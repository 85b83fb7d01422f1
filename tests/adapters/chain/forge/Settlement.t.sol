// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnergySettlement} from "../src/EnergySettlement.sol";
import {TestCurrency} from "../src/TestCurrency.sol";

/// @dev The few cheatcodes that are used; forge-std is not needed.
interface Vm {
    function addr(uint256 key) external returns (address);
    function sign(uint256 key, bytes32 digest) external returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 time) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @title Does everything that users do, in any order and with any amount; remembers what should be true.
contract Handler {
    EnergySettlement public settlement;
    TestCurrency public currency;
    bytes32[4] public ids;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public finals;
    bool public closedTwice;
    uint64 private _period = 1;

    struct Pending {
        EnergySettlement.Batch batch;
        bytes positions;
        bool open;
    }

    Pending[] private _batches;
    mapping(bytes32 => int256) public expected; // what final batches moved, by account

    constructor() {
        currency = new TestCurrency(address(this));
        address[] memory oracles = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            oracles[i] = vm.addr(i + 1);
        }
        settlement = new EnergySettlement(currency, "m", 100, 300, address(this), oracles, 2);
        string[] memory names = new string[](4);
        (names[0], names[1], names[2], names[3]) = ("a", "b", "c", "d");
        address[] memory owners = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            ids[i] = keccak256(bytes(names[i]));
            owners[i] = address(this);
        }
        settlement.grantRole(settlement.REGISTRAR_ROLE(), address(this));
        settlement.grantRole(settlement.PROPOSER_ROLE(), address(this));
        settlement.grantRole(settlement.DISPUTER_ROLE(), address(this));
        settlement.grantRole(settlement.ARBITER_ROLE(), address(this));
        settlement.openAccounts(names, owners);
        currency.approve(address(settlement), type(uint256).max);
        for (uint256 i = 1; i < 4; ++i) {
            for (uint256 j = i; j > 0 && ids[j] < ids[j - 1]; --j) {
                (ids[j], ids[j - 1]) = (ids[j - 1], ids[j]);
            }
        }
    }

    function deposit(uint8 who, uint64 amount) external {
        if (amount == 0) return;
        bytes32[] memory accounts = new bytes32[](1);
        uint128[] memory totals = new uint128[](1);
        accounts[0] = ids[who % 4];
        totals[0] = settlement.accountsOf(accounts)[0].deposited + amount;
        currency.mint(address(this), amount);
        settlement.deposit(accounts, totals);
        deposited += amount;
    }

    /// @dev Any deltas, often unbalanced or unpayable: then it must revert.
    function propose(int64 a, int64 b, int64 c, bool balance) external {
        int256 rest = -(int256(a) + b + c);
        int64 d = balance && rest >= type(int64).min && rest <= type(int64).max ? int64(rest) : int64(7);
        EnergySettlement.Batch memory batch;
        batch.prev = settlement.head();
        batch.periodStart = _period;
        batch.periodEnd = _period + 1;
        batch.epoch = settlement.epoch();
        bytes memory positions = abi.encodePacked(ids[0], a, ids[1], b, ids[2], c, ids[3], d);
        bytes32 digest = settlement.typedDigest(settlement.batchId(batch, positions));
        EnergySettlement.Signature[] memory signatures = new EnergySettlement.Signature[](2);
        for (uint8 i = 0; i < 2; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(i + 1, digest);
            signatures[i] = EnergySettlement.Signature(i, abi.encodePacked(r, s, v));
        }
        settlement.propose(batch, positions, signatures);
        _period += 1;
        _batches.push(Pending(batch, positions, true));
    }

    /// @dev Amounts that everybody can pay.
    function proposeSmall(uint16 a, uint16 b, uint16 c) external {
        for (uint8 i = 0; i < 4; ++i) {
            this.deposit(i, 200_000);
        }
        this.propose(int64(uint64(a)), -int64(uint64(b)), int64(uint64(c)), true);
    }

    function finalise(uint8 which) external {
        if (_batches.length == 0) return;
        Pending storage pending = _batches[which % _batches.length];
        settlement.finalise(pending.batch, pending.positions);
        // a revert here would hide the fault: it would undo what the settlement did
        if (!pending.open) closedTwice = true;
        pending.open = false;
        finals += 1;
        bytes memory positions = pending.positions;
        for (uint256 i = 0; i < 4; ++i) {
            int64 delta;
            assembly {
                delta := sar(192, mload(add(add(positions, 64), mul(i, 40))))
            }
            expected[ids[i]] += delta;
        }
    }

    function dispute(uint8 which) external {
        if (_batches.length == 0) return;
        Pending storage pending = _batches[which % _batches.length];
        settlement.dispute(settlement.batchId(pending.batch, pending.positions), "");
    }

    function dismiss(uint8 which) external {
        if (_batches.length == 0) return;
        Pending storage pending = _batches[which % _batches.length];
        settlement.dismiss(settlement.batchId(pending.batch, pending.positions), "");
    }

    function reject(uint8 which) external {
        if (_batches.length == 0) return;
        Pending storage pending = _batches[which % _batches.length];
        settlement.reject(pending.batch, pending.positions, "");
        if (!pending.open) closedTwice = true;
        pending.open = false;
        _period = settlement.recordOf(settlement.head()).periodEnd;
        if (_period == 0) _period = 1;
    }

    function requestWithdrawal(uint8 who, uint64 amount) external {
        settlement.requestWithdrawal(ids[who % 4], amount);
    }

    function withdraw(uint8 who) external {
        uint256 before = currency.balanceOf(address(this));
        settlement.withdraw(ids[who % 4]);
        withdrawn += currency.balanceOf(address(this)) - before;
    }

    function pass(uint16 time) external {
        vm.warp(block.timestamp + time);
    }
}

contract SettlementTest {
    Handler internal handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Conservation: the contract holds exactly what is owed and what is on its way.
    function invariant_conservation() public view {
        EnergySettlement settlement = handler.settlement();
        uint256 owed = settlement.reserved();
        bytes32[] memory ids = settlement.accountIds(0, 10);
        EnergySettlement.Account[] memory accounts = settlement.accountsOf(ids);
        for (uint256 i = 0; i < ids.length; ++i) {
            owed += accounts[i].balance;
        }
        require(handler.currency().balanceOf(address(settlement)) == owed, "money appeared or vanished");
        require(settlement.moneySum() == 0, "sum");
        require(handler.deposited() - handler.withdrawn() == owed, "deposits");
    }

    /// @dev No credit without debit, nothing twice: accounts moved by what final batches said, less debits that
    ///      are reserved for batches on their way.
    function invariant_onlyFinalBatchesCredit() public view {
        require(!handler.closedTwice(), "a batch was closed twice");
        EnergySettlement settlement = handler.settlement();
        bytes32[] memory ids = settlement.accountIds(0, 10);
        int256[] memory nets = settlement.netOf(ids);
        int256 gap = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            int256 difference = handler.expected(ids[i]) - nets[i];
            require(difference >= 0, "credited more than final batches gave");
            gap += difference;
        }
        require(gap == int256(uint256(settlement.reserved())), "reserved is not what was taken");
    }

    /// @dev A batch of random amounts either reverts or keeps the sum.
    function testFuzz_batch(uint64 money, int64 a, int64 b, int64 c, bool balance) public {
        for (uint8 i = 0; i < 4; ++i) {
            handler.deposit(i, money);
        }
        try handler.propose(a, b, c, balance) {
            require(balance, "an unbalanced batch passed");
        } catch {}
        invariant_conservation();
    }
}
