"""What to know of a CBOR block before a recursive decoder sees it: found without recursion."""

from __future__ import annotations

BYTES, TEXT, ARRAY, MAP, TAG = 2, 3, 4, 5, 6


def read_header(block: bytes, at: int) -> tuple[int, int, int]:
    """(major type, argument, position after it). Raises ValueError if it is cut off."""
    if at >= len(block):
        raise ValueError("an item is cut off")
    major, low = block[at] >> 5, block[at] & 0x1F
    if low < 24:
        return major, low, at + 1
    if low > 27 or at + 1 + (width := 1 << (low - 24)) > len(block):
        raise ValueError("an item's header is cut off or of indefinite length")
    return major, int.from_bytes(block[at + 1 : at + 1 + width], "big"), at + 1 + width


def is_nested_deeper(block: bytes, most: int) -> bool:
    """Whether the first item nests arrays, maps and tags deeper than `most`.

    A decoder that recurses crashes the whole process on a few kilobytes of nested arrays once
    some library has raised Python's recursion limit. Raises ValueError for a cut-off block.
    """
    open_items, at = [1], 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        major, argument, at = read_header(block, at)
        if major in (BYTES, TEXT):
            at += argument
        elif major in (ARRAY, MAP, TAG):
            open_items.append({ARRAY: argument, MAP: 2 * argument, TAG: 1}[major])
            if len(open_items) - 1 > most:
                return True
    return False
