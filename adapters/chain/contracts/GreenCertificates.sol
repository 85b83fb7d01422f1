// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";

import {AssetRegistry} from "./AssetRegistry.sol";
import {EnergySettlement} from "./EnergySettlement.sol";
import {Sha256Merkle} from "./Sha256Merkle.sol";

/// @title Certificates of origin: one token kind per device and interval, one unit per whole Wh.
/// @notice A certificate exists only for energy that a FINAL batch commits to by its readings root, and only once.
///         Through storage it follows the energy: what goes in is burnt against metered charging, what comes out is
///         bounded by metered discharging and by efficiency times what went in.
contract GreenCertificates is ERC1155 {
    EnergySettlement public immutable settlement;
    AssetRegistry public immutable registry;
    uint64 public immutable intervalS;

    /// @dev The line of a reading in the readings tree: "p2p-reading-1", asset id, then four 8-byte numbers.
    struct Reading {
        bytes32 asset;
        uint64 start;
        uint64 end;
        uint64 exportedWh;
        uint64 importedWh;
    }

    /// @dev What shows that a FINAL batch commits to a reading.
    struct Evidence {
        EnergySettlement.Batch batch;
        bytes32 positionsHash;
        bytes32[] siblings;
        uint256 leftBits;
    }

    mapping(uint256 => bool) public used;
    mapping(bytes32 => uint256) public chargedWh;
    mapping(bytes32 => uint256) public storedWh;

    event Claimed(uint256 indexed id, bytes32 indexed asset, uint64 start, uint64 end, uint256 energyWh, address to);
    event Charged(bytes32 indexed asset, uint64 start, uint256 energyWh);
    event Stored(bytes32 indexed asset, uint256 indexed id, uint256 energyWh);
    event Released(bytes32 indexed asset, uint256 indexed id, uint256 energyWh, uint256 consumedWh);
    event Retired(uint256 indexed id, address indexed by, uint256 energyWh, string purpose, string beneficiary);

    error NotFinal(bytes32 batchId);
    error NotInBatch(bytes32 batchId);
    error AlreadyUsed(uint256 id);
    error BadInterval(uint64 start, uint64 end);
    error WrongKind(bytes32 asset);
    error NotAssetOwner(bytes32 asset, address caller);
    error NothingMetered(bytes32 asset);
    error NotCharged(bytes32 asset, uint256 chargedWh, uint256 wantedWh);
    error NotStored(bytes32 asset, uint256 storedWh, uint256 neededWh);
    error MoreThanMetered(uint256 wantedWh, uint256 meteredWh);
    error NoPurpose();
    error LengthMismatch();

    constructor(EnergySettlement settlement_, AssetRegistry registry_, uint64 intervalS_) ERC1155("") {
        // EnergyTag: granular certificates are hourly or finer. A fixed grid also makes overlaps impossible.
        if (intervalS_ == 0 || intervalS_ > 3600) revert BadInterval(0, intervalS_);
        settlement = settlement_;
        registry = registry_;
        intervalS = intervalS_;
    }

    /// @notice Turn a PV reading of a final batch into certificates for the asset's owner.
    function claim(Reading calldata reading, Evidence calldata evidence) external returns (uint256 id) {
        AssetRegistry.Asset memory asset = _owned(reading.asset);
        if (asset.kind != AssetRegistry.Kind.PV) revert WrongKind(reading.asset);
        if (reading.exportedWh == 0) revert NothingMetered(reading.asset);
        id = _use(reading, evidence, "generated");
        emit Claimed(id, reading.asset, reading.start, reading.end, reading.exportedWh, asset.owner);
        _mint(asset.owner, id, reading.exportedWh, "");
    }

    /// @notice Note metered charging of a battery, once per interval.
    function charge(Reading calldata reading, Evidence calldata evidence) external {
        AssetRegistry.Asset memory asset = _owned(reading.asset);
        if (asset.kind != AssetRegistry.Kind.BATTERY) revert WrongKind(reading.asset);
        if (reading.importedWh == 0) revert NothingMetered(reading.asset);
        _use(reading, evidence, "charged");
        chargedWh[reading.asset] += reading.importedWh;
        emit Charged(reading.asset, reading.start, reading.importedWh);
    }

    /// @notice Put certificates into a battery: they are burnt, at most as much as was charged.
    function store(bytes32 battery, uint256[] calldata ids, uint256[] calldata amounts) external {
        _owned(battery);
        if (ids.length != amounts.length) revert LengthMismatch();
        uint256 sum = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            sum += amounts[i];
            emit Stored(battery, ids[i], amounts[i]);
        }
        if (sum > chargedWh[battery]) revert NotCharged(battery, chargedWh[battery], sum);
        chargedWh[battery] -= sum;
        storedWh[battery] += sum;
        _burnBatch(msg.sender, ids, amounts);
    }

    /// @notice Take certificates out against metered discharging; losses are consumed, rounded against the owner.
    function release(Reading calldata reading, Evidence calldata evidence, uint64 amountWh)
        external
        returns (uint256 id)
    {
        AssetRegistry.Asset memory asset = _owned(reading.asset);
        if (asset.kind != AssetRegistry.Kind.BATTERY) revert WrongKind(reading.asset);
        if (amountWh == 0) revert NothingMetered(reading.asset);
        if (amountWh > reading.exportedWh) revert MoreThanMetered(amountWh, reading.exportedWh);
        uint256 efficiency = asset.efficiencyPpm;
        uint256 consumed = (uint256(amountWh) * 1_000_000 + efficiency - 1) / efficiency;
        if (consumed > storedWh[reading.asset]) revert NotStored(reading.asset, storedWh[reading.asset], consumed);
        storedWh[reading.asset] -= consumed;
        id = _use(reading, evidence, "generated");
        emit Released(reading.asset, id, amountWh, consumed);
        _mint(asset.owner, id, amountWh, "");
    }

    /// @notice Use up certificates for a stated purpose; nobody can use them again.
    function retire(uint256 id, uint256 amountWh, string calldata purpose, string calldata beneficiary) external {
        if (bytes(purpose).length == 0) revert NoPurpose();
        emit Retired(id, msg.sender, amountWh, purpose, beneficiary);
        _burn(msg.sender, id, amountWh);
    }

    /// @notice Token id of a device and interval.
    function tokenId(bytes32 asset, uint64 start, uint64 end) public pure returns (uint256) {
        return uint256(keccak256(abi.encode("generated", asset, start, end)));
    }

    /// @notice Whether a line is in a tree of the core (fills or readings): anybody may audit with it.
    function verify(bytes calldata line, bytes32[] calldata siblings, uint256 leftBits, bytes32 root)
        external
        pure
        returns (bool)
    {
        return Sha256Merkle.verify(line, siblings, leftBits, root);
    }

    function _owned(bytes32 id) private view returns (AssetRegistry.Asset memory asset) {
        asset = registry.assetOf(id);
        if (asset.owner != msg.sender) revert NotAssetOwner(id, msg.sender);
    }

    /// @dev Marks a reading as used in one way, after it was shown to be in a final batch.
    function _use(Reading calldata reading, Evidence calldata evidence, string memory how) private returns (uint256 id) {
        if (reading.start % intervalS != 0 || reading.end != reading.start + intervalS) {
            revert BadInterval(reading.start, reading.end);
        }
        id = uint256(keccak256(abi.encode(how, reading.asset, reading.start, reading.end)));
        if (used[id]) revert AlreadyUsed(id);
        used[id] = true;
        bytes32 batchId = settlement.headerId(evidence.batch, evidence.positionsHash);
        if (settlement.statusOf(batchId) != EnergySettlement.Status.FINAL) revert NotFinal(batchId);
        bytes memory line = abi.encodePacked(
            "p2p-reading-1", reading.asset, reading.start, reading.end, reading.exportedWh, reading.importedWh
        );
        if (!Sha256Merkle.verify(line, evidence.siblings, evidence.leftBits, evidence.batch.readingsRoot)) {
            revert NotInBatch(batchId);
        }
    }
}
