// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Whether the mutant with this number is switched on. The number stands where the compiler writes its version, five bytes
/// before the code's end (the tail is `64 "solc" 43 VERSION 000a`), so that it can be changed without compiling anew.
function mutantIsOn(uint256 mutant) pure returns (bool on) {
    assembly ("memory-safe") {
        codecopy(0x00, sub(codesize(), 5), 0x20)
        on := eq(shr(232, mload(0x00)), mutant)
    }
}
