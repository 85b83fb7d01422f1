// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Play money for the embedded chain and for development nodes. Never use it where money is real.
contract TestCurrency is ERC20 {
    address public immutable minter;

    error NotMinter();

    constructor(address minter_) ERC20("Test Currency", "TEST") {
        minter = minter_;
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert NotMinter();
        _mint(to, amount);
    }
}
