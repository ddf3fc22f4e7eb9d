"""Hashes that bind a hidden value to its slot, and the packed byte strings the contracts take.

Records are fixed-width and big-endian: a member is a uint16, a seat a uint8, a score a uint16.
No signatures here: see `signing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from commonweal.errors import InvalidInput
from commonweal.protocol.types import Address, Bps, Score

ENTRY_BYTES = 34  # uint16 member, 32-byte word
SALT_BYTES = 16  # nobody guesses 128 bits
_SLOT = ["uint256", "address", "uint256", "uint256", "uint256", "bytes32", "bytes16"]


class InvalidPacking(InvalidInput):
    code = "invalid-packing"


def compute_update_commitment(
    chain_id: int, rounds: Address, job: int, round_: int, member: int, digest: bytes, salt: bytes
) -> bytes:
    """The sealed form of an update's digest; `rounds` is the Rounds contract's address.

    `salt`: 16 bytes.
    """
    return keccak(encode(_SLOT, [chain_id, rounds, job, round_, member, digest, salt]))


def compute_ballot_commitment(
    chain_id: int, rounds: Address, job: int, round_: int, member: int, ballot: bytes, salt: bytes
) -> bytes:
    """The sealed form of a packed ballot (`pack_scores`) of the member on a seat."""
    return keccak(encode(_SLOT, [chain_id, rounds, job, round_, member, keccak(ballot), salt]))


def compute_vote_commitment(
    chain_id: int,
    appeals: Address,
    appeal: int,
    level: int,
    member: int,
    *,
    overturn: bool,
    salt: bytes,
) -> bytes:
    """The sealed form of a juror's vote; `appeals` is the Appeals contract's address."""
    vote = int(overturn).to_bytes(32)
    return keccak(encode(_SLOT, [chain_id, appeals, appeal, level, member, vote, salt]))


def pack_scores(scores: Iterable[int]) -> bytes:
    """uint16 each; also packs shares in bps."""
    return _pack(scores, 2)


def unpack_scores(data: bytes) -> tuple[Score, ...]:
    return tuple(Score(value) for value in _unpack(data, 2))


def unpack_shares(data: bytes) -> tuple[Bps, ...]:
    return tuple(Bps(value) for value in _unpack(data, 2))


def pack_members(members: Iterable[int]) -> bytes:
    """uint16 each."""
    return _pack(members, 2)


def unpack_members(data: bytes) -> tuple[int, ...]:
    return _unpack(data, 2)


def pack_seats(seats: Iterable[int]) -> bytes:
    """uint8 each."""
    return _pack(seats, 1)


def unpack_seats(data: bytes) -> tuple[int, ...]:
    return _unpack(data, 1)


def pack_entries(entries: Iterable[tuple[int, bytes]]) -> bytes:
    """(uint16 member, 32-byte word) each: a commitment batch or reveal records."""
    packed = []
    for member, word in entries:
        if len(word) != 32:
            raise InvalidPacking("a word has 32 bytes", have=len(word))
        packed.append(_pack([member], 2) + word)
    return b"".join(packed)


def unpack_entries(data: bytes) -> tuple[tuple[int, bytes], ...]:
    _check_length(data, ENTRY_BYTES)
    return tuple(
        (int.from_bytes(data[at : at + 2]), data[at + 2 : at + ENTRY_BYTES])
        for at in range(0, len(data), ENTRY_BYTES)
    )


def pack_seals(sealed: Iterable[tuple[int, bytes]]) -> bytes:
    """(uint8 seat, 32-byte commitment) each: what one `commitBallots` call adds to the hash."""
    return b"".join(pack_seats([seat]) + commitment for seat, commitment in sealed)


def unpack_openings(
    members: bytes, opened: int, openings: bytes
) -> list[tuple[int, bytes, bytes | None]]:
    """(member, digest, salt) for an opened entry, (member, commitment, None) for a repeated one.

    As `revealUpdates` takes them: `members` and `openings` in the batch's order, bit i of `opened`
    for entry i. Raises InvalidPacking if they do not match in length.
    """
    widths = [32 + (opened >> at & 1) * SALT_BYTES for at in range(len(members) // 2)]
    if len(openings) != sum(widths):
        raise InvalidPacking("openings do not match", have=len(openings), need=sum(widths))
    entries, start = [], 0
    for member, width in zip(unpack_members(members), widths, strict=True):
        part = openings[start : start + width]
        entries.append((member, part[:32], part[32:] or None))
        start += width
    return entries


def unpack_ballots(seats: bytes, ballots: bytes, salts: bytes) -> list[tuple[int, bytes, bytes]]:
    """(seat, ballot, salt) each, as `revealBallots` takes them. Raises InvalidPacking."""
    count = len(seats)
    _check_length(ballots, 2 * count or 1)
    if len(salts) != SALT_BYTES * count:
        raise InvalidPacking("salts do not match", have=len(salts), need=SALT_BYTES * count)
    width = len(ballots) // count if count else 0
    return [
        (seat, ballots[at * width : (at + 1) * width], salts[at * SALT_BYTES :][:SALT_BYTES])
        for at, seat in enumerate(unpack_seats(seats))
    ]


def compute_batch_hash(entries: bytes) -> bytes:
    """What the contract keeps of one commitment batch."""
    return keccak(entries)


def compute_reveals_hash(records: Sequence[bytes]) -> bytes:
    """Runs over the reveal calls of a round: `records` holds one `pack_entries` per call."""
    running = bytes(32)
    for call in records:
        running = keccak(running + call)
    return running


def compute_tally_hash(scores: Sequence[int], shares: Sequence[int]) -> bytes:
    return keccak(keccak(pack_scores(scores)) + keccak(pack_scores(shares)))


def _pack(values: Iterable[int], width: int) -> bytes:
    try:
        return b"".join(value.to_bytes(width) for value in values)
    except OverflowError as error:
        raise InvalidPacking(f"a value does not fit into {width} bytes", width=width) from error


def _unpack(data: bytes, width: int) -> tuple[int, ...]:
    _check_length(data, width)
    return tuple(int.from_bytes(data[at : at + width]) for at in range(0, len(data), width))


def _check_length(data: bytes, width: int) -> None:
    if len(data) % width:
        raise InvalidPacking(
            f"{len(data)} bytes are not whole records of {width}", have=len(data), width=width
        )
