// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// The cheatcodes that Hardhat's Solidity test runner offers and that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function deal(address account, uint256 balance) external;
    function etch(address account, bytes calldata code) external;
    function store(address account, bytes32 slot, bytes32 value) external;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function warp(uint256 timestamp) external;
    function roll(uint256 number) external;
    function chainId(uint256 id) external;
    function setBlockhash(uint256 number, bytes32 hash) external;
    function getBlockTimestamp() external view returns (uint256);
    function getBlockNumber() external view returns (uint256);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);
    function setNonce(address account, uint64 nonce) external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit() external;
    function expectEmit(address emitter) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function expectCall(address callee, bytes calldata data, uint64 count) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function assume(bool condition) external pure;
    function label(address account, string calldata name) external;
    function cool(address account) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256 snapshot) external returns (bool);
    function readFile(string calldata path) external view returns (string memory);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function projectRoot() external view returns (string memory);
    function parseJson(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytesArray(string calldata json, string calldata key) external pure returns (bytes[] memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function toString(uint256 value) external pure returns (string memory);
}

Vm constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// Assertions that revert at once, so that the first wrong value is the one that is reported.
abstract contract Test {
    Vm internal constant vm = VM;
    bool public IS_TEST = true;

    error AssertionFailed(string what);
    error NotEqualUint(string what, uint256 have, uint256 want);
    error NotEqualInt(string what, int256 have, int256 want);
    error NotEqualAddress(string what, address have, address want);
    error NotEqualBytes32(string what, bytes32 have, bytes32 want);
    error NotEqualBytes(string what, bytes have, bytes want);
    error NotEqualString(string what, string have, string want);
    error NotEqualBool(string what, bool have, bool want);
    error OutOfOrder(string what, uint256 low, uint256 high);

    function assertTrue(bool condition) internal pure {
        if (!condition) revert AssertionFailed("not true");
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert AssertionFailed(what);
    }

    function assertFalse(bool condition) internal pure {
        if (condition) revert AssertionFailed("not false");
    }

    function assertFalse(bool condition, string memory what) internal pure {
        if (condition) revert AssertionFailed(what);
    }

    function assertEq(uint256 have, uint256 want) internal pure {
        assertEq(have, want, "");
    }

    function assertEq(uint256 have, uint256 want, string memory what) internal pure {
        if (have != want) revert NotEqualUint(what, have, want);
    }

    function assertEq(int256 have, int256 want, string memory what) internal pure {
        if (have != want) revert NotEqualInt(what, have, want);
    }

    function assertEq(address have, address want) internal pure {
        assertEq(have, want, "");
    }

    function assertEq(address have, address want, string memory what) internal pure {
        if (have != want) revert NotEqualAddress(what, have, want);
    }

    function assertEq(bytes32 have, bytes32 want) internal pure {
        assertEq(have, want, "");
    }

    function assertEq(bytes32 have, bytes32 want, string memory what) internal pure {
        if (have != want) revert NotEqualBytes32(what, have, want);
    }

    function assertEq(bytes memory have, bytes memory want) internal pure {
        assertEq(have, want, "");
    }

    function assertEq(bytes memory have, bytes memory want, string memory what) internal pure {
        if (keccak256(have) != keccak256(want)) revert NotEqualBytes(what, have, want);
    }

    function assertEq(string memory have, string memory want) internal pure {
        if (keccak256(bytes(have)) != keccak256(bytes(want))) revert NotEqualString("", have, want);
    }

    function assertEq(bool have, bool want) internal pure {
        if (have != want) revert NotEqualBool("", have, want);
    }

    function assertEq(bool have, bool want, string memory what) internal pure {
        if (have != want) revert NotEqualBool(what, have, want);
    }

    /// low ≤ high
    function assertLe(uint256 low, uint256 high, string memory what) internal pure {
        if (low > high) revert OutOfOrder(what, low, high);
    }

    /// high ≥ low
    function assertGe(uint256 high, uint256 low, string memory what) internal pure {
        if (low > high) revert OutOfOrder(what, low, high);
    }

    /// Folds any fuzzed value into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (low > high) revert OutOfOrder("bound", low, high);
        uint256 size = high - low;
        return size == type(uint256).max ? value : low + value % (size + 1);
    }

    /// The 64-byte form (EIP-2098) of a signature.
    function signCompact(uint256 privateKey, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }

    function hashTyped(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    function computeDomainSeparator(address verifyingContract) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Commonweal"),
                keccak256("1"),
                block.chainid,
                verifyingContract
            )
        );
    }
}
