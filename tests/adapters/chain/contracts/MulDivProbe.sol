// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title OpenZeppelin's mulDiv and a netting loop, to compare the off-chain core with. Only the tests deploy it.
contract MulDivProbe {
    function mulDivMany(uint256[] calldata a, uint256[] calldata b, uint256[] calldata d)
        external
        pure
        returns (uint256[] memory down, uint256[] memory up)
    {
        down = new uint256[](a.length);
        up = new uint256[](a.length);
        for (uint256 i = 0; i < a.length; ++i) {
            down[i] = Math.mulDiv(a[i], b[i], d[i]);
            up[i] = Math.mulDiv(a[i], b[i], d[i], Math.Rounding.Ceil);
        }
    }

    function net(uint256 accounts, uint256[] calldata rows, int64[] calldata money)
        external
        pure
        returns (int64[] memory sums)
    {
        sums = new int64[](accounts);
        for (uint256 i = 0; i < rows.length; ++i) {
            sums[rows[i]] += money[i];
        }
    }
}
