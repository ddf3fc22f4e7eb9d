"""Random cases for both languages, nasty ones often: each with what the Python code says to it.

A maker returns (case, expected): the struct that the harness takes, and the answer it must give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from contracts_stage import TERMS

from commonweal.protocol import merkle, signing
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_batch_hash,
    compute_update_commitment,
    pack_entries,
    pack_members,
    pack_scores,
)
from commonweal.protocol.committee import draw_committee
from commonweal.protocol.rewards import compute_quantum, pack_payments, split_round
from commonweal.protocol.signing import Domain, hash_update_commitment
from commonweal.protocol.types import Bps, JobParameters, Score, Wei
from commonweal.protocol.verdicts import Tally, tally

ZERO_ADDRESS = "0x" + "00" * 20
NOBODY = 2**256 - 1
MAX_MEMBERS = 2048
MAX_WEIGHT = 2**53 - 1
MAX_ESCROW = 2**127 - 2**31 - 1  # the largest whose quantum fits 96 bits
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SLOTS = (
    signing.hash_update_commitment,
    signing.hash_ballot_commitment,
    signing.hash_model_attestation,
)

Case = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    function: str
    make: Callable[[Random, Domain], Case]
    per_call: int  # cases that surely fit one call


def make_slot(chance: Random, domain: Domain) -> Case:
    slot, job, round_, word = chance.randrange(3), _number(chance), _number(chance), _word(chance)
    return (slot, job, round_, word), _SLOTS[slot](domain, job, round_, word)


def make_signature_batch(chance: Random, domain: Domain) -> Case:
    """A batch of commitments in which often one signature is none, or somebody else's."""
    job, round_ = _number(chance), _number(chance)
    members = _members(chance, most=chance.choice((1, 3, 20)))
    words = [_word(chance) for _ in members]
    digests = [hash_update_commitment(domain, job, round_, word) for word in words]
    keys = [chance.randbytes(32) for _ in members]
    signatures = [signing.sign_compact(key, d) for key, d in zip(keys, digests, strict=True)]
    operators = [_recover(d, s) for d, s in zip(digests, signatures, strict=True)]
    if chance.random() < 0.7:
        at = chance.randrange(len(members))
        signatures[at] = _spoil(chance, signatures[at])
    signers = [_recover(d, s) for d, s in zip(digests, signatures, strict=True)]
    pairs = enumerate(zip(signers, operators, strict=True))
    wrong = next((at for at, (signer, operator) in pairs if signer != operator), len(members))
    expected = (wrong, signers[min(wrong, len(members) - 1)])
    case = (job, round_, pack_members(members), words, b"".join(signatures), operators)
    return case, expected


def make_openings(chance: Random, domain: Domain) -> Case:
    """A batch of which some entries are opened and the rest repeated."""
    job, round_ = _number(chance), _number(chance)
    members = _members(chance, most=chance.choice((1, 16, 256)))
    opened, parts, entries, records = 0, [], [], []
    odds = chance.choice((0.0, 0.1, 0.9, 1.0))
    for at, member in enumerate(members):
        digest, salt = _word(chance), chance.randbytes(SALT_BYTES)
        slot = (domain.chain_id, domain.contract, job, round_, member)
        entries.append((member, compute_update_commitment(*slot, digest, salt)))
        if chance.random() < odds:
            opened |= 1 << at
            parts += [digest, salt]
            records.append((member, digest))
        else:
            parts.append(entries[-1][1])
    case = (job, round_, pack_members(members), opened, b"".join(parts))
    return case, (compute_batch_hash(pack_entries(entries)), bytes(32) + pack_entries(records))


def make_ballot_seal(chance: Random, domain: Domain) -> Case:
    job, round_, member = _number(chance), _number(chance), chance.randrange(MAX_MEMBERS)
    ballot = pack_scores(_scores(chance, chance.choice((0, 1, 16, 300))))
    salt = chance.randbytes(SALT_BYTES)
    slot = (domain.chain_id, domain.contract, job, round_, member)
    sealed = compute_ballot_commitment(*slot, ballot, salt)
    return (job, round_, member, ballot, salt), sealed


def make_draw(chance: Random, _: Domain) -> Case:
    """Members join, leave, come back with another weight; then several draws from the tree."""
    leaves = chance.choice((1, 2, 4, 5, 15, 16, 17, 63, 64, 65, chance.randint(1, 300)))
    weigh = _weighing(chance)
    changes = [(index, weigh()) for index in range(leaves)]
    for _change in range(chance.choice((0, 3, leaves))):
        changes.append((chance.randrange(leaves), chance.choice((0, weigh()))))
    chance.shuffle(changes)
    changes = [(index, weight) for index, weight in _in_joining_order(changes)]
    size, seeds = chance.randint(1, 15), [_word(chance) for _ in range(4)]
    excluded = chance.choice(([], chance.choices(range(leaves), k=chance.randint(1, 40))))
    weights = [its for its in sorted(dict(changes).items()) if its[0] not in excluded]
    drawn = [list(draw_committee(weights, size, seed)) for seed in seeds]
    columns = [index for index, _ in changes], [weight for _, weight in changes]
    return (*columns, size, excluded, seeds), drawn


def make_tally(chance: Random, _: Domain) -> Case:
    revealed, committee, ballots, result = _tallied(chance)
    seats = list(ballots)
    chance.shuffle(seats)  # the chain takes ballots in any order
    places = {member: at for at, member in enumerate(revealed)}
    own = [places.get(committee[seat], NOBODY) for seat in seats]
    packed = b"".join(pack_scores(ballots[seat]) for seat in seats)
    any_verified = any(0 < score < 65_534 for score in result.scores)
    shares = [result.shares[seat] for seat in seats]
    expected = (pack_scores(result.scores), shares, any_verified)
    return (packed, own, len(revealed)), expected


def make_split(chance: Random, _: Domain) -> Case:
    parameters, escrow = _terms(chance)
    quantum = compute_quantum(escrow)
    revealed, committee, _ballots, result = _tallied(chance)
    if not any(0 < score < 65_534 for score in result.scores):  # the round would have failed
        result = replace(result, scores=(Score(chance.randint(1, 65_533)), *result.scores[1:]))
    size = len(committee) + chance.choice((0, 0, 2))
    least = chance.choice((1, len(revealed), chance.randint(1, len(revealed))))
    parameters = replace(parameters, committee_size=size, min_trainers=least)
    split = split_round(parameters, quantum, revealed, result, committee)
    case = (
        parameters.price_per_round,
        parameters.validator_share_bps,
        parameters.coordinator_share_bps,
        quantum,
        least,
        size,
        committee,
        pack_entries([(member, _word(chance)) for member in revealed]),
        pack_scores(result.scores),
        pack_scores(result.shares),
    )
    assert split.spent <= escrow
    return case, (pack_payments(split.payments), split.fee)


def make_tree(chance: Random, _: Domain) -> Case:
    """A proof of one leaf, now and then of a leaf that is none or by a wrong path."""
    members = _members(chance, most=chance.choice((1, 2, 3, 17, 300)))
    entries = [(member, _word(chance)) for member in members]
    scores = _scores(chance, len(members))
    leaves = [
        merkle.compute_verdict_leaf(member, digest, score)
        for (member, digest), score in zip(entries, scores, strict=True)
    ]
    committee = chance.sample(range(MAX_MEMBERS), chance.choice((1, 3, 15)))
    attesters = [seat for seat in range(len(committee)) if chance.random() < 0.8]
    finalised_at = chance.choice((0, 1_800_000_000, 2**40 - 1))
    settlement = merkle.compute_settlement_leaf(committee, attesters, finalised_at, len(leaves))
    root, at = merkle.compute_verdict_root(leaves, settlement), chance.randrange(len(leaves))
    proof = [*merkle.compute_proof(leaves, at), settlement]
    (member, digest), score = entries[at], scores[at]
    if chance.random() < 0.3:
        score = Score(score ^ 1)
    if chance.random() < 0.2:
        proof.pop(chance.randrange(len(proof)))
    leaf = merkle.compute_verdict_leaf(member, digest, score)
    bits = sum(1 << seat for seat in attesters)
    lists = pack_entries(entries), pack_scores(scores)
    case = (*lists, committee, bits, finalised_at, member, digest, score, proof)
    return case, (root, merkle.is_proven(root, leaf, proof))


def _tallied(
    chance: Random,
) -> tuple[list[int], list[int], dict[int, list[Score]], Tally]:
    """(revealed, committee, ballots by seat, tally); members of the committee may train too."""
    revealed = _members(chance, most=chance.choice((1, 2, 15, 16, 17, 40, 300)))
    strangers = [m for m in chance.sample(range(MAX_MEMBERS), 40) if m not in revealed]
    pool = chance.choice((revealed, strangers, revealed + strangers))
    size = min(chance.choice((1, 3, 5, 15, chance.randint(1, 15))), len(pool))
    committee = chance.sample(pool, size)
    here = [seat for seat in range(size) if chance.random() < 0.9] or [0]
    ballots = {seat: _scores(chance, len(revealed)) for seat in here}
    return revealed, committee, ballots, tally(revealed, committee, ballots)


def _terms(chance: Random) -> tuple[JobParameters, Wei]:
    """(parameters, escrow): from nothing to all that an escrow can hold, at a quantum's edge."""
    edges = (0, 1, 10_000, 2**31 - 2, 2**31 - 1, 2**31, 2**62, 2**126, MAX_ESCROW)
    price = chance.choice((chance.choice(edges), chance.randrange(200), chance.randrange(2**100)))
    escrow = price * chance.choice((1, 1, 2, 1000)) + chance.choice((0, 0, 1))
    validators = chance.choice((0, 1, 2_000, 10_000, chance.randint(0, 10_000)))
    fee = chance.choice((0, 10_000 - validators, chance.randint(0, 10_000 - validators)))
    parameters = replace(
        TERMS,
        price_per_round=Wei(price),
        validator_share_bps=Bps(validators),
        coordinator_share_bps=Bps(fee),
    )
    return parameters, Wei(min(escrow, MAX_ESCROW))


def _scores(chance: Random, count: int) -> list[Score]:
    """All kinds: any, few distinct (ties), the two special ones and their neighbours."""
    kinds: tuple[Callable[[], int], ...] = (
        lambda: chance.randrange(65_536),
        lambda: chance.choice((0, 1, 7)),
        lambda: chance.choice((65_532, 65_533, 65_534, 65_535)),
        lambda: chance.choice((0, 1, 500, 65_533, 65_534, 65_535)),
    )
    draw = chance.choice(kinds)
    return [Score(draw()) for _ in range(count)]


def _members(chance: Random, most: int) -> list[int]:
    """Ascending; without gaps, with some, or spread over all pages."""
    count = chance.randint(1, most)
    span = chance.choice((count, 2 * count, MAX_MEMBERS))
    first = chance.randrange(MAX_MEMBERS - span + 1)
    return sorted(chance.sample(range(first, first + span), count))


def _weighing(chance: Random) -> Callable[[], int]:
    """Equal, tiny, huge, none, or of all orders of magnitude."""
    kinds: tuple[Callable[[], int], ...] = (
        lambda: 1,
        lambda: chance.choice((0, 1)),
        lambda: MAX_WEIGHT,
        lambda: chance.choice((0, 1, MAX_WEIGHT)),
        lambda: chance.randrange(2 ** chance.randint(1, 53)),
        lambda: chance.randrange(10**9, 10**12),
    )
    return chance.choice(kinds)


def _in_joining_order(changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Renumbers, so that an index that appears for the first time is the next one."""
    places: dict[int, int] = {}
    return [(places.setdefault(index, len(places)), weight) for index, weight in changes]


def _spoil(chance: Random, signature: bytes) -> bytes:
    r, vs = signature[:32], signature[32:]
    return chance.choice(
        (
            chance.randbytes(32) + vs,
            r + bytes([vs[0] ^ 0x80]) + vs[1:],
            bytes(64),
            bytes(32) + vs,
            r + bytes(32),
            _ORDER.to_bytes(32) + vs,
            b"\xff" * 32 + vs,
        )
    )


def _recover(digest: bytes, signature: bytes) -> str:
    return signing.recover_compact(digest, signature) or ZERO_ADDRESS


def _number(chance: Random) -> int:
    return chance.choice((0, 1, chance.randrange(2**32), 2**256 - 1, chance.randrange(2**256)))


def _word(chance: Random) -> bytes:
    return chance.choice((chance.randbytes(32), chance.randbytes(32), bytes(32), b"\xff" * 32))


COMPARISONS = {
    "slot messages": Comparison("hashSlots", make_slot, 500),
    "signatures": Comparison("findWrong", make_signature_batch, 50),
    "openings": Comparison("openBatches", make_openings, 40),
    "ballot commitments": Comparison("sealBallots", make_ballot_seal, 200),
    "draws": Comparison("draw", make_draw, 2),
    "tallies": Comparison("tally", make_tally, 4),
    "splits": Comparison("split", make_split, 20),
    "verdict trees": Comparison("prove", make_tree, 25),
}
