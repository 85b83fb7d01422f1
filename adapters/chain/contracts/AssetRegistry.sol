// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title Who owns which device behind which meter.
/// @notice Every change is an event that carries the whole new state, so the history of an asset can be read back
///         from the chain alone. A meter point and a device key serve one asset at a time.
contract AssetRegistry is AccessControl {
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    enum Kind {
        HOUSE,
        PV,
        BATTERY,
        EV
    }

    /// @dev Capacity is rated power in W, for storage the energy in Wh. Efficiency is the round trip of storage in
    ///      parts per million; it bounds what certificates may leave a battery.
    struct Asset {
        address owner;
        Kind kind;
        bool retired;
        uint32 efficiencyPpm;
        address deviceKey;
        uint64 capacity;
        bytes32 meterPoint;
        bytes32 metadataHash;
    }

    mapping(bytes32 => Asset) private _assets;
    mapping(bytes32 => bytes32) public assetAtMeter;
    mapping(address => bytes32) public assetOfKey;
    mapping(bytes32 => address) public offeredTo;
    bytes32[] private _ids;

    event AssetRegistered(bytes32 indexed id, string name, Asset asset);
    event AssetConfigured(bytes32 indexed id, Asset asset, string reason);
    event AssetOffered(bytes32 indexed id, address to);
    event AssetTransferred(bytes32 indexed id, address from, address to);
    event AssetRetired(bytes32 indexed id, string reason);

    error AssetExists(bytes32 id);
    error UnknownAsset(bytes32 id);
    error AlreadyRetired(bytes32 id);
    error MeterPointTaken(bytes32 meterPoint, bytes32 by);
    error DeviceKeyTaken(address deviceKey, bytes32 by);
    error NotAllowed(bytes32 id, address caller);
    error BadAsset(string what);

    constructor(address admin) {
        if (admin == address(0)) revert BadAsset("admin");
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(REGISTRAR_ROLE, admin);
    }

    /// @notice Register an asset; its id is the keccak-256 of its name and is never used twice.
    function register(string calldata name, Asset calldata asset) external onlyRole(REGISTRAR_ROLE) returns (bytes32 id) {
        id = keccak256(bytes(name));
        if (_assets[id].owner != address(0)) revert AssetExists(id);
        if (asset.owner == address(0)) revert BadAsset("owner");
        if (asset.retired) revert BadAsset("retired");
        _check(asset);
        if (assetAtMeter[asset.meterPoint] != bytes32(0)) {
            revert MeterPointTaken(asset.meterPoint, assetAtMeter[asset.meterPoint]);
        }
        _takeKey(id, asset.deviceKey);
        assetAtMeter[asset.meterPoint] = id;
        _assets[id] = asset;
        _ids.push(id);
        emit AssetRegistered(id, name, asset);
    }

    /// @notice Change key, capacity, efficiency or metadata. Owner, kind and meter point stay.
    function configure(
        bytes32 id,
        address deviceKey,
        uint64 capacity,
        uint32 efficiencyPpm,
        bytes32 metadataHash,
        string calldata reason
    ) external onlyRole(REGISTRAR_ROLE) {
        Asset storage asset = _live(id);
        if (deviceKey != asset.deviceKey) {
            delete assetOfKey[asset.deviceKey];
            _takeKey(id, deviceKey);
        }
        asset.deviceKey = deviceKey;
        asset.capacity = capacity;
        asset.efficiencyPpm = efficiencyPpm;
        asset.metadataHash = metadataHash;
        _check(asset);
        emit AssetConfigured(id, asset, reason);
    }

    /// @notice Offer an asset to a new owner, who must accept it.
    function offer(bytes32 id, address to) external {
        if (_live(id).owner != msg.sender) revert NotAllowed(id, msg.sender);
        offeredTo[id] = to;
        emit AssetOffered(id, to);
    }

    function accept(bytes32 id) external {
        Asset storage asset = _live(id);
        if (offeredTo[id] != msg.sender) revert NotAllowed(id, msg.sender);
        delete offeredTo[id];
        emit AssetTransferred(id, asset.owner, msg.sender);
        asset.owner = msg.sender;
    }

    /// @notice Retire an asset: meter point and key are free again, the id stays used.
    function retire(bytes32 id, string calldata reason) external {
        Asset storage asset = _live(id);
        if (asset.owner != msg.sender && !hasRole(REGISTRAR_ROLE, msg.sender)) revert NotAllowed(id, msg.sender);
        asset.retired = true;
        delete assetAtMeter[asset.meterPoint];
        delete assetOfKey[asset.deviceKey];
        delete offeredTo[id];
        emit AssetRetired(id, reason);
    }

    function assetOf(bytes32 id) external view returns (Asset memory) {
        if (_assets[id].owner == address(0)) revert UnknownAsset(id);
        return _assets[id];
    }

    function ids(uint256 from, uint256 count) external view returns (bytes32[] memory found) {
        uint256 n = _ids.length;
        if (from > n) from = n;
        if (count > n - from) count = n - from;
        found = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            found[i] = _ids[from + i];
        }
    }

    function _live(bytes32 id) private view returns (Asset storage asset) {
        asset = _assets[id];
        if (asset.owner == address(0)) revert UnknownAsset(id);
        if (asset.retired) revert AlreadyRetired(id);
    }

    function _takeKey(bytes32 id, address deviceKey) private {
        if (deviceKey == address(0)) revert BadAsset("deviceKey");
        if (assetOfKey[deviceKey] != bytes32(0)) revert DeviceKeyTaken(deviceKey, assetOfKey[deviceKey]);
        assetOfKey[deviceKey] = id;
    }

    function _check(Asset memory asset) private pure {
        if (asset.meterPoint == bytes32(0)) revert BadAsset("meterPoint");
        if (asset.capacity == 0) revert BadAsset("capacity");
        if (asset.efficiencyPpm > 1_000_000) revert BadAsset("efficiencyPpm");
        if (asset.kind == Kind.BATTERY && asset.efficiencyPpm == 0) revert BadAsset("efficiencyPpm");
    }
}
