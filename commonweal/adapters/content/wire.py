"""The little of protobuf and CBOR that links need: fields, varints, and where tag 42 stands."""

from __future__ import annotations

from collections.abc import Iterator

from commonweal.protocol.cbor import BYTES, TAG, TEXT, read_header

_VARINT, _BYTES = 0, 2
_MAX_VARINT_BYTES = 9
_LINK_TAG = 42


def encode_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, position after it). Raises ValueError when it is cut off, padded or above 2^63."""
    value = 0
    for count in range(_MAX_VARINT_BYTES):
        if at + count >= len(data):
            raise ValueError("a varint is cut off")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if byte == 0 and count:
                raise ValueError("a varint is padded")
            return value, at + count + 1
    raise ValueError("a varint is longer than 63 bits")


def encode_bytes(field: int, value: bytes) -> bytes:
    return encode_varint(field << 3 | _BYTES) + encode_varint(len(value)) + value


def parse_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message of varints and byte strings, in order.

    Raises ValueError, where it is cut off.
    """
    at = 0
    while at < len(data):
        key, at = decode_varint(data, at)
        value, at = decode_varint(data, at)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES and at + value <= len(data):
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("a field is cut off or of an unknown wire type")


def find_cbor_links(block: bytes) -> Iterator[bytes]:
    """The binary CIDs under tag 42, in order, exactly.

    libipld gives links and byte strings alike as bytes; a byte string that happens to look like a
    CID must not count as a link. One pass over the items' headers needs no recursion.
    """
    at, is_link = 0, False
    while at < len(block):
        major, argument, at = read_header(block, at)
        if major in (BYTES, TEXT):
            if at + argument > len(block):
                raise ValueError("a string is cut off")
            if is_link:
                if major != BYTES or block[at : at + 1] != b"\x00":
                    raise ValueError("a link is not an identity-prefixed byte string")
                yield block[at + 1 : at + argument]
            at += argument
        elif is_link:
            raise ValueError("a link is not a byte string")
        is_link = major == TAG and argument == _LINK_TAG
    if is_link:
        raise ValueError("a link is cut off")
