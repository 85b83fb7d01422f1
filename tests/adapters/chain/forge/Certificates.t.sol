// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetRegistry} from "../src/AssetRegistry.sol";
import {EnergySettlement} from "../src/EnergySettlement.sol";
import {GreenCertificates} from "../src/GreenCertificates.sol";
import {TestCurrency} from "../src/TestCurrency.sol";

interface Cheats {
    function addr(uint256 key) external returns (address);
    function sign(uint256 key, bytes32 digest) external returns (uint8 v, bytes32 r, bytes32 s);
}

Cheats constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @title Owns a PV plant and a battery, and tries everything with their readings, final or not, in any order.
contract GreenHandler {
    EnergySettlement public settlement;
    AssetRegistry public registry;
    GreenCertificates public green;
    uint256 public meteredWh; // PV, in final batches
    uint256 public chargedWh; // metered into the battery, in final batches
    uint256 public dischargedWh;
    uint256 public aliveWh; // in anybody's hands
    uint256 public claimedWh;
    uint256 public storedWh;
    uint256 public releasedWh;
    uint256 public retiredWh;
    uint32 public constant EFFICIENCY_PPM = 800_000;
    bytes32 public constant PV = keccak256("pv");
    bytes32 public constant BATTERY = keccak256("battery");

    struct Metered {
        EnergySettlement.Batch batch;
        GreenCertificates.Reading reading;
        bool done;
    }

    Metered[] private _metered;
    uint256[] private _tokens;
    uint256 private _next;
    uint64 private _slot = 1;

    constructor() {
        address[] memory oracles = new address[](1);
        oracles[0] = cheats.addr(1);
        settlement = new EnergySettlement(new TestCurrency(address(this)), "m", 0, 0, address(this), oracles, 1);
        settlement.grantRole(settlement.PROPOSER_ROLE(), address(this));
        registry = new AssetRegistry(address(this));
        green = new GreenCertificates(settlement, registry, 900);
        registry.register("pv", _asset(AssetRegistry.Kind.PV, 0, 1));
        registry.register("battery", _asset(AssetRegistry.Kind.BATTERY, EFFICIENCY_PPM, 2));
    }

    function onERC1155Received(address, address, uint256, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC1155Received.selector;
    }

    /// @dev A sunny day: what the plant makes and the battery takes, settled, claimed and charged; twice as much is
    ///      made as is stored.
    function day(uint16 wh) external {
        if (wh == 0) return;
        meter(false, wh, 0);
        meter(true, 0, wh / 2);
        _finaliseAll();
        (GreenCertificates.Reading memory made, GreenCertificates.Evidence memory evidence) = _at(_metered.length - 2);
        _tokens.push(green.claim(made, evidence));
        claimedWh += wh;
        aliveWh += wh;
        (made, evidence) = _at(_metered.length - 1);
        if (wh > 1) green.charge(made, evidence);
    }

    /// @dev As much as is held and may be stored, of the newest certificate.
    function storeMost() external {
        uint256[] memory ids = new uint256[](1);
        uint256[] memory amounts = new uint256[](1);
        ids[0] = _tokens[_tokens.length - 1];
        uint256 held = green.balanceOf(address(this), ids[0]);
        uint256 room = green.chargedWh(BATTERY);
        amounts[0] = held < room ? held : room;
        green.store(BATTERY, ids, amounts);
        storedWh += amounts[0];
        aliveWh -= amounts[0];
    }

    /// @dev An evening: the battery gives `wh`, and as many certificates are asked for as could ever be there.
    function evening(uint16 wh, bool greedy) external {
        meter(true, wh, 0);
        _finaliseAll();
        (GreenCertificates.Reading memory given, GreenCertificates.Evidence memory evidence) = _at(_metered.length - 1);
        uint256 stored = green.storedWh(BATTERY);
        uint256 most = greedy ? stored : stored * EFFICIENCY_PPM / 1_000_000;
        uint64 amount = most < wh ? uint64(most) : wh;
        try green.release(given, evidence, amount) returns (uint256 id) {
            _tokens.push(id);
            releasedWh += amount;
            aliveWh += amount;
        } catch {}
    }

    function _finaliseAll() private {
        while (_next < _metered.length) {
            finalise();
        }
    }

    /// @dev A reading in a batch of its own: a tree of one leaf.
    function meter(bool battery, uint16 exportedWh, uint16 importedWh) public {
        GreenCertificates.Reading memory reading = GreenCertificates.Reading(
            battery ? BATTERY : PV, _slot * 900, (_slot + 1) * 900, exportedWh, importedWh
        );
        EnergySettlement.Batch memory batch;
        batch.prev = settlement.head();
        batch.periodStart = _slot * 900;
        batch.periodEnd = (_slot + 1) * 900;
        batch.epoch = settlement.epoch();
        batch.readingsRoot = sha256(
            abi.encodePacked(
                sha256(
                    abi.encodePacked(
                        "p2p-reading-1", reading.asset, reading.start, reading.end, exportedWh64(exportedWh), exportedWh64(importedWh)
                    )
                )
            )
        );
        bytes32 digest = settlement.typedDigest(settlement.batchId(batch, ""));
        EnergySettlement.Signature[] memory signatures = new EnergySettlement.Signature[](1);
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(1, digest);
        signatures[0] = EnergySettlement.Signature(0, abi.encodePacked(r, s, v));
        settlement.propose(batch, "", signatures);
        _slot += 1;
        _metered.push(Metered(batch, reading, false));
    }

    function exportedWh64(uint16 value) public pure returns (uint64) {
        return value;
    }

    function finalise() public {
        if (_next == _metered.length) return;
        Metered storage item = _metered[_next];
        settlement.finalise(item.batch, "");
        item.done = true;
        _next += 1;
        if (item.reading.asset == PV) {
            meteredWh += item.reading.exportedWh;
        } else {
            chargedWh += item.reading.importedWh;
            dischargedWh += item.reading.exportedWh;
        }
    }

    function claim(uint8 which) external {
        (GreenCertificates.Reading memory reading, GreenCertificates.Evidence memory evidence) = _pick(which);
        uint256 id = green.claim(reading, evidence);
        _tokens.push(id);
        claimedWh += reading.exportedWh;
        aliveWh += reading.exportedWh;
    }

    function charge(uint8 which) external {
        (GreenCertificates.Reading memory reading, GreenCertificates.Evidence memory evidence) = _pick(which);
        green.charge(reading, evidence);
    }

    function store(uint8 which, uint16 amountWh) external {
        uint256[] memory ids = new uint256[](1);
        uint256[] memory amounts = new uint256[](1);
        ids[0] = _tokens[which % _tokens.length];
        uint256 held = green.balanceOf(address(this), ids[0]);
        amounts[0] = held == 0 ? amountWh : amountWh % (held + 1);
        green.store(BATTERY, ids, amounts);
        storedWh += amounts[0];
        aliveWh -= amounts[0];
    }

    function release(uint8 which, uint16 amountWh, bool all) external {
        (GreenCertificates.Reading memory reading, GreenCertificates.Evidence memory evidence) = _pick(which);
        uint64 amount = all ? reading.exportedWh : amountWh;
        uint256 id = green.release(reading, evidence, amount);
        _tokens.push(id);
        releasedWh += amount;
        aliveWh += amount;
    }

    function releaseStored(uint8 which) external {
        (GreenCertificates.Reading memory reading, GreenCertificates.Evidence memory evidence) = _pick(which);
        uint64 amount = uint64(green.storedWh(BATTERY) * EFFICIENCY_PPM / 1_000_000);
        uint256 id = green.release(reading, evidence, amount);
        _tokens.push(id);
        releasedWh += amount;
        aliveWh += amount;
    }

    function retire(uint8 which, uint16 amountWh) external {
        uint256 id = _tokens[which % _tokens.length];
        green.retire(id, amountWh, "use", "");
        retiredWh += amountWh;
        aliveWh -= amountWh;
    }

    function transfer(uint8 which, uint16 amountWh) external {
        green.safeTransferFrom(address(this), address(0xbeef), _tokens[which % _tokens.length], amountWh, "");
    }

    function _pick(uint8 which)
        private
        view
        returns (GreenCertificates.Reading memory, GreenCertificates.Evidence memory)
    {
        return _at(which % _metered.length);
    }

    function _at(uint256 i)
        private
        view
        returns (GreenCertificates.Reading memory, GreenCertificates.Evidence memory)
    {
        Metered storage item = _metered[i];
        return (item.reading, GreenCertificates.Evidence(item.batch, keccak256(""), new bytes32[](0), 0));
    }

    function _asset(AssetRegistry.Kind kind, uint32 efficiency, uint160 n) private view returns (AssetRegistry.Asset memory) {
        return AssetRegistry.Asset(
            address(this), kind, false, efficiency, address(n), 1000, bytes32(uint256(n)), bytes32(0)
        );
    }
}

contract CertificatesTest {
    GreenHandler internal handler;

    function setUp() public {
        handler = new GreenHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Certificates <= metered: of all PV energy in final batches at most once, in whatever form it is now.
    function invariant_certificatesAtMostMetered() public view {
        require(handler.claimedWh() <= handler.meteredWh(), "more certified than metered");
        uint256 stored = handler.green().storedWh(handler.BATTERY());
        require(handler.aliveWh() + stored + handler.retiredWh() <= handler.claimedWh(), "energy from nowhere");
    }

    /// @dev Through storage: in at most what was charged, out at most what was discharged and efficiency times in.
    function invariant_storage() public view {
        require(handler.storedWh() <= handler.chargedWh(), "more stored than charged");
        require(handler.releasedWh() <= handler.dischargedWh(), "more released than discharged");
        require(handler.releasedWh() * 1_000_000 <= handler.storedWh() * handler.EFFICIENCY_PPM(), "no losses");
    }
}
