// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetRegistry} from "../src/AssetRegistry.sol";

/// @title Registers, changes and retires assets with few meter points and keys, so that they collide.
contract RegistryHandler {
    AssetRegistry public registry;
    bytes32[] private _live;

    constructor() {
        registry = new AssetRegistry(address(this));
    }

    function add(uint8 name, uint8 meter, uint8 key) external {
        string memory text = string(abi.encodePacked(bytes1(name % 32)));
        AssetRegistry.Asset memory asset = AssetRegistry.Asset(
            address(this), AssetRegistry.Kind.PV, false, 0, address(uint160(key % 6)), 1000, bytes32(uint256(meter % 6)), 0
        );
        _live.push(registry.register(text, asset));
    }

    function configure(uint8 which, uint8 key) external {
        registry.configure(_live[which % _live.length], address(uint160(key % 6)), 1000, 0, 0, "");
    }

    function retire(uint8 which) external {
        registry.retire(_live[which % _live.length], "");
    }

    function count() external view returns (uint256) {
        return _live.length;
    }

    function assetAt(uint256 i) external view returns (AssetRegistry.Asset memory) {
        return registry.assetOf(_live[i]);
    }
}

contract RegistryTest {
    RegistryHandler internal handler;

    function setUp() public {
        handler = new RegistryHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev A meter point and a device key serve one asset at a time.
    function invariant_oneAssetPerMeterAndKey() public view {
        uint256 n = handler.count();
        for (uint256 i = 0; i < n; ++i) {
            AssetRegistry.Asset memory one = handler.assetAt(i);
            if (one.retired) continue;
            for (uint256 j = 0; j < i; ++j) {
                AssetRegistry.Asset memory other = handler.assetAt(j);
                if (other.retired) continue;
                require(one.meterPoint != other.meterPoint, "two assets behind one meter");
                require(one.deviceKey != other.deviceKey, "two assets with one key");
            }
        }
    }
}
