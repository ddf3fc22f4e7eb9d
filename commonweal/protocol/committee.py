"""Who judges a round: drawn by stake, without replacement, from a block hash fixed in advance.

The contract finds the same seats with a sum tree; here is the plain walk it must agree with.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from commonweal.protocol.types import Address, Wei

GWEI = 10**9


def compute_seed(randao: bytes, rounds: Address, job: int, round_: int) -> bytes:
    """`randao` is that of the round's seed block, `rounds` the contract's address."""
    types = ["bytes32", "address", "uint256", "uint256"]
    return keccak(encode(types, [randao, rounds, job, round_]))


def compute_weight(stake: Wei) -> int:
    """Whole gwei of locked stake."""
    return stake // GWEI


def draw_committee(
    validators: Sequence[tuple[int, int]], size: int, seed: bytes
) -> tuple[int, ...]:
    """Members by seat, fewer if too few. `validators`: (member, weight), members ascending."""
    left = [(member, weight) for member, weight in validators if weight]
    seats: list[int] = []
    while left and len(seats) < size:
        point = _draw_point(seed, len(seats), sum(weight for _, weight in left))
        member = _find(left, point)
        seats.append(member)
        left = [entry for entry in left if entry[0] != member]
    return tuple(seats)


def _draw_point(seed: bytes, seat: int, total: int) -> int:
    return int.from_bytes(keccak(encode(["bytes32", "uint256"], [seed, seat]))) % total


def _find(validators: Sequence[tuple[int, int]], point: int) -> int:
    for member, weight in validators:
        if point < weight:
            return member
        point -= weight
    raise AssertionError("the point lies below the total")
