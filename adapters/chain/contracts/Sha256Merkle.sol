// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The Merkle tree of the off-chain core: SHA-256, a leaf is the double hash of its line.
/// @notice An inner node is the single hash of its two children; a node without a sibling moves up. A line of 64
///         bytes is refused: it could be two children.
library Sha256Merkle {
    error LineOf64Bytes();

    /// @param siblings hashes from the leaf up
    /// @param leftBits bit i is set where sibling i stands to the left
    function verify(bytes memory line, bytes32[] calldata siblings, uint256 leftBits, bytes32 root)
        internal
        pure
        returns (bool)
    {
        if (line.length == 64) revert LineOf64Bytes();
        bytes32 node = sha256(abi.encodePacked(sha256(line)));
        for (uint256 i = 0; i < siblings.length; ++i) {
            bool left = (leftBits >> i) & 1 == 1;
            node = left
                ? sha256(abi.encodePacked(siblings[i], node))
                : sha256(abi.encodePacked(node, siblings[i]));
        }
        return node == root;
    }
}
