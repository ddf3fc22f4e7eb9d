"""Merkle trees over verdicts and allowlists: keccak256 of sorted pairs.

Pairs are taken from the left; an odd last node moves up unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from commonweal.errors import InvalidInput
from commonweal.protocol.types import Address


class NoSuchLeaf(InvalidInput):
    code = "no-such-leaf"


def compute_verdict_leaf(member: int, digest: bytes, score: int) -> bytes:
    return keccak(member.to_bytes(2) + digest + score.to_bytes(2))


def compute_settlement_leaf(
    committee: Sequence[int], attesters: Iterable[int], finalised_at: int, reveals: int
) -> bytes:
    """What a round's verdict root holds beside its verdicts, for appeals.

    `committee`: members by seat; `attesters`: the seats that attested the model; `finalised_at`:
    seconds; `reveals`: updates revealed in the round.
    """
    word = compute_committee_word(committee, attesters)
    return keccak(word.to_bytes(32) + finalised_at.to_bytes(5) + reveals.to_bytes(2))


def compute_committee_word(committee: Sequence[int], attesters: Iterable[int]) -> int:
    """Member + 1 in 16 bits per seat, and from bit 240 on the seats that attested the model."""
    word = sum((member + 1) << 16 * seat for seat, member in enumerate(committee))
    return word | sum(1 << 240 + seat for seat in set(attesters))


def compute_verdict_root(verdicts: Sequence[bytes], settlement: bytes) -> bytes:
    """Of the verdicts' leaves, members ascending, and the round's settlement leaf."""
    return _join(compute_root(verdicts), settlement)


def compute_allowlist_leaf(provider: Address) -> bytes:
    """A closed job names the root over these. Hashed twice: no inner node can pass for a leaf."""
    return keccak(keccak(encode(["address"], [provider])))


def compute_contributors(leaves: Sequence[bytes]) -> bytes:
    """What a model manifest names: the leaves of its verified updates, members ascending."""
    return keccak(b"".join(leaves))


def compute_root(leaves: Sequence[bytes]) -> bytes:
    """One leaf is its own root; no leaf has none."""
    return _levels(leaves)[-1][0]


def compute_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Siblings from the leaf up."""
    if not 0 <= index < len(leaves):
        raise NoSuchLeaf(f"leaf {index} of {len(leaves)}", index=index, leaves=len(leaves))
    return _siblings(_levels(leaves), index)


def compute_proofs(leaves: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Of every leaf, in order; the tree is built once."""
    levels = _levels(leaves) if leaves else []
    return [_siblings(levels, index) for index in range(len(leaves))]


def _siblings(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    proof = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        index //= 2
    return tuple(proof)


def is_proven(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    for sibling in proof:
        leaf = _join(leaf, sibling)
    return leaf == root


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    if not leaves:
        raise NoSuchLeaf("a tree needs a leaf", index=0, leaves=0)
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        level = levels[-1]
        pairs = [
            _join(*level[at : at + 2]) if at + 1 < len(level) else level[at]
            for at in range(0, len(level), 2)
        ]
        levels.append(pairs)
    return levels


def _join(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)
