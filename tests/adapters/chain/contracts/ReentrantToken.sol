// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A currency that calls back while it is being paid out. Only the tests deploy it.
contract ReentrantToken is ERC20 {
    address public target;
    bytes public payload;

    constructor(address minter_) ERC20("Reentrant", "RE") {
        _mint(minter_, 1e18);
    }

    function arm(address target_, bytes calldata payload_) external {
        target = target_;
        payload = payload_;
    }

    function act(address to, bytes calldata data) external {
        _forward(to, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target != address(0)) {
            address once = target;
            target = address(0);
            _forward(once, payload);
        }
    }

    function _forward(address to, bytes memory data) private {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
