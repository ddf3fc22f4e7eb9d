"""A block's header in RLP, rebuilt from what a node answers: its hash is the block's.

The order of the fields is the chain's (Ethereum's `Header`, with the optional ones that later
forks appended); a header that does not give the block's hash is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from commonweal.errors import Unavailable

_FIELDS = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
)


class HeaderUnknown(Unavailable):
    """The chain's headers have fields that this version does not know."""

    code = "header-unknown"


def encode_header(block: Mapping[str, Any]) -> bytes:
    """`block` as `eth_getBlockByNumber` gives it. Raises HeaderUnknown."""
    known = [name for name in _FIELDS if block.get(name) is not None]
    header: bytes = rlp.encode([_encode(block[name]) for name in known])
    have, need = keccak(header), bytes(block["hash"])
    if have != need:
        message = f"the header of block {block['number']} does not give its hash"
        raise HeaderUnknown(message, have=have.hex(), need=need.hex())
    return header


def _encode(value: Any) -> bytes:
    if isinstance(value, int):
        return value.to_bytes((value.bit_length() + 7) // 8)
    return bytes(HexBytes(value))
