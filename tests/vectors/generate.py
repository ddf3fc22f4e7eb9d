"""Writes the vectors beside it: `python tests/vectors/generate.py`.

They are frozen: run this only to add cases, and read the difference. Tests of two languages load
them, so a change in one implementation alone cannot pass.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils.crypto import keccak

from commonweal.protocol import commitments, committee, merkle, rewards, signing, verdicts
from commonweal.protocol.types import Address, Bps, Digest, JobParameters, Role, Score, Wei

HERE = Path(__file__).parent
CHAIN_ID = 31_337
ROUNDS = Address("0x1111111111111111111111111111111111111111")
BOARD = Address("0x2222222222222222222222222222222222222222")
PROVIDER = Address("0x3333333333333333333333333333333333333333")
EXTREME = (1, 0, 65_535)
KEYS = [keccak(text=f"commonweal vector key {i}") for i in range(3)]
ETHER = 10**18


def word(text: str) -> bytes:
    return keccak(text=text)


def main() -> None:
    for name, build in FILES.items():
        text = json.dumps(_plain(build()), indent=1)
        (HERE / f"{name}.json").write_text(text + "\n")


def build_commitments() -> dict[str, Any]:
    slots = [(1, 1, 0), (7, 3, 65_535), (2**64, 2**32 - 1, 256)]
    updates, ballots = [], []
    for job, round_, member in slots:
        digest, salt = word(f"digest {member}"), word(f"salt {member}")[: commitments.SALT_BYTES]
        ballot = commitments.pack_scores([0, 1, 65_533, 65_534, 65_535, member])
        slot = {"job": job, "round": round_, "member": member, "salt": salt}
        bound = (CHAIN_ID, ROUNDS, job, round_, member)
        update = commitments.compute_update_commitment(*bound, digest, salt)
        sealed = commitments.compute_ballot_commitment(*bound, ballot, salt)
        updates.append({**slot, "digest": digest, "commitment": update})
        ballots.append({**slot, "ballot": ballot, "commitment": sealed})
    return {
        "chain_id": CHAIN_ID,
        "rounds": ROUNDS,
        "updates": updates,
        "ballots": ballots,
        "batches": [_batch(size) for size in (1, 2, 256)],
        "reveals": [_reveals(sizes) for sizes in ([], [1], [3, 1, 2])],
        "tallies": [_tally_hash(scores, shares) for scores, shares in TALLY_HASHES],
    }


TALLY_HASHES: list[tuple[list[int], list[int]]] = [
    ([0], [0]),
    ([1, 65_533, 65_534, 65_535], [10_000, 9_999, 0]),
]


def _batch(size: int) -> dict[str, Any]:
    entries = commitments.pack_entries(
        [(i * 200 % 65_536, word(f"entry {i}")) for i in range(size)]
    )
    return {"entries": entries, "hash": commitments.compute_batch_hash(entries)}


def _reveals(sizes: Sequence[int]) -> dict[str, Any]:
    calls = [
        commitments.pack_entries([(i, word(f"reveal {at} {i}")) for i in range(size)])
        for at, size in enumerate(sizes)
    ]
    return {"calls": calls, "hash": commitments.compute_reveals_hash(calls)}


def _tally_hash(scores: list[int], shares: list[int]) -> dict[str, Any]:
    packed = {"scores": commitments.pack_scores(scores), "shares": commitments.pack_scores(shares)}
    return {**packed, "hash": commitments.compute_tally_hash(scores, shares)}


def build_messages() -> dict[str, Any]:
    rounds, board = signing.Domain(CHAIN_ID, ROUNDS), signing.Domain(CHAIN_ID, BOARD)
    parameters_hash = signing.compute_parameters_hash(PARAMETERS)
    value = word("value")
    slot = {"job": 7, "round": 3}
    join = {"job": 7, "provider": PROVIDER, "roles": 3, "stake": 5 * ETHER}
    leave = {"job": 7, "provider": PROVIDER}
    offer = {"requester": PROVIDER, "parametersHash": parameters_hash, "escrow": 10 * ETHER}
    once = {"nonce": 4, "deadline": 1_900_000_000}
    hashes = [
        (
            "UpdateCommitment",
            {**slot, "commitment": value},
            signing.hash_update_commitment(rounds, 7, 3, value),
        ),
        (
            "BallotCommitment",
            {**slot, "commitment": value},
            signing.hash_ballot_commitment(rounds, 7, 3, value),
        ),
        (
            "ModelAttestation",
            {**slot, "modelDigest": value},
            signing.hash_model_attestation(rounds, 7, 3, value),
        ),
        (
            "JobJoin",
            join | once,
            signing.hash_job_join(board, 7, PROVIDER, Role(3), Wei(5 * ETHER), 4, 1_900_000_000),
        ),
        ("JobLeave", leave | once, signing.hash_job_leave(board, 7, PROVIDER, 4, 1_900_000_000)),
        (
            "JobOffer",
            offer | once,
            signing.hash_job_offer(
                board, PROVIDER, parameters_hash, Wei(10 * ETHER), 4, 1_900_000_000
            ),
        ),
    ]
    return {
        "chain_id": CHAIN_ID,
        "rounds": ROUNDS,
        "board": BOARD,
        "domains": {"rounds": rounds.separator, "board": board.separator},
        "parameters": asdict(PARAMETERS),
        "parameters_hash": parameters_hash,
        "messages": [_message(*entry) for entry in hashes],
    }


def _message(kind: str, fields: dict[str, Any], digest: bytes) -> dict[str, Any]:
    signed = [
        {
            "private_key": key,
            "signer": Account.from_key(key).address,
            "signature": signing.sign_compact(key, digest),
        }
        for key in KEYS
    ]
    return {"kind": kind, "fields": fields, "hash": digest, "signed": signed}


def build_draw() -> dict[str, Any]:
    seed = committee.compute_seed(word("block"), ROUNDS, 7, 3)
    crowds = {
        "one validator": [(0, ETHER)],
        "fewer validators than seats": [(2, ETHER), (5, 3 * ETHER)],
        "no validator": [],
        "equal stakes": [(i, 100 * ETHER) for i in range(12)],
        "stakes of every size": [(3 * i, 10**9 * 7**i) for i in range(19)],
        "one whale": [(0, ETHER), (1, 10**6 * ETHER), (2, ETHER), (9, ETHER)],
        "stake below one gwei weighs nothing": [(0, 10**9 - 1), (1, 10**9), (2, 10**9 + 1)],
        "many": [(i, (1 + word(f"stake {i}")[0]) * ETHER) for i in range(300)],
    }
    cases = [
        _draw_case(name, stakes, size, word(f"seed {name} {size}"))
        for name, stakes in crowds.items()
        for size in (1, 3, 15)
    ]
    return {
        "seed": {"block_hash": word("block"), "rounds": ROUNDS, "job": 7, "round": 3, "seed": seed},
        "cases": cases,
    }


def _draw_case(name: str, stakes: list[tuple[int, int]], size: int, seed: bytes) -> dict[str, Any]:
    weights = [(member, committee.compute_weight(Wei(stake))) for member, stake in stakes]
    return {
        "name": name,
        "members": [member for member, _ in stakes],
        "stakes": [stake for _, stake in stakes],
        "size": size,
        "seed": seed,
        "committee": committee.draw_committee(weights, size, seed),
    }


N, U, I = None, 65_534, 65_535  # noqa: E741 - no ballot, unavailable, invalid
# name: (revealed members, members by seat, ballots by seat)
TALLIES: dict[str, tuple[list[int], list[int], list[list[int] | None]]] = {
    "plain medians": ([0, 1, 2], [7, 8, 9], [[5, 6, 7], [50, 60, 70], [500, 600, 700]]),
    "even number takes the lower median": ([0], [7, 8, 9, 10, 11], [[9], N, [1], [5], [7]]),
    "all agree": ([0, 1], [7, 8, 9], [[10, 20]] * 3),
    "one seat lies": ([0, 1], [7, 8, 9], [[100, 0], [100, 0], [0, 65_533]]),
    "a lie deviates by more than the weight": ([0, 1], [7, 8, 9], [[3, 0], [3, 0], [0, 5]]),
    "own update is not counted": ([4, 6], [4, 5, 6], [[65_533, 10], [1, 10], [3, 65_533]]),
    "only its own member scored it": ([4], [4, 5, 6], [[9], N, N]),
    "majority invalid": ([0, 1], [7, 8, 9], [[I, 5], [I, 6], [400, 7]]),
    "half invalid is not a majority": ([0], [7, 8, 9, 10, 11], [[I], [I], [20], [30], N]),
    "majority unavailable": ([0, 1], [7, 8, 9], [[U, 5], [U, 6], [400, 7]]),
    "half unavailable is not a majority": ([0], [7, 8, 9, 10, 11], [[U], [U], [20], [30], N]),
    "neither alone is a majority, nothing ordinary": (
        [0],
        [7, 8, 9, 10, 11],
        [[I], [I], [U], [U], N],
    ),
    "invalid beats unavailable only by majority": ([0], [7, 8, 9], [[I], [U], [U]]),
    "one ordinary among sentinels decides": ([0], [7, 8, 9, 10, 11], [[I], [I], [U], [U], [44]]),
    "all invalid": ([0, 1], [7, 8, 9], [[I, I]] * 3),
    "all unavailable": ([0], [7, 8, 9], [[U]] * 3),
    "rejected": ([0, 1, 2], [7, 8, 9], [[0, 5, 0], [0, 5, 0], [9, 5, 0]]),
    "nothing of use, everybody says so": ([0, 1], [7, 8, 9], [[0, 0], [0, I], [0, U]]),
    "nothing of use, one was generous": ([0], [7, 8, 9], [[0], [0], [1]]),
    "sentinels are worth nothing in a deviation": ([0, 1], [7, 8, 9], [[U, 9], [8, 9], [8, I]]),
    "a quorum of ballots": ([0, 1], [7, 8, 9, 10, 11], [[1, 2], N, [3, 4], N, [5, 6]]),
    "seat one of one": ([0, 1], [7], [[3, 0]]),
    "score bounds": ([0, 1, 2], [7, 8, 9], [[1, 65_533, 0], [1, 65_533, 0], [65_533, 1, 0]]),
    "fifteen seats": (
        list(range(0, 40, 3)),
        list(range(15)),
        [[(7 * seat + 11 * at) % 100 for at in range(14)] for seat in range(15)],
    ),
    "fifteen seats, any score at all": (
        list(range(20)),
        list(range(10, 25)),
        [
            [
                int.from_bytes(word(f"score {seat} {at}")[:2]) | (0xFFFE if at % 3 == 0 else 0)
                for at in range(20)
            ]
            for seat in range(15)
        ],
    ),
}


def build_tally() -> dict[str, Any]:
    return {"cases": [_tally_case(name, *case) for name, case in TALLIES.items()]}


def _tally_case(
    name: str, revealed: list[int], seats: list[int], ballots: list[list[int] | None]
) -> dict[str, Any]:
    given = {seat: ballot for seat, ballot in enumerate(ballots) if ballot is not None}
    result = verdicts.tally(revealed, seats, given)
    return {
        "name": name,
        "revealed": revealed,
        "committee": seats,
        "seats": list(given),
        "ballots": [commitments.pack_scores(ballot) for ballot in given.values()],
        "scores": commitments.pack_scores(result.scores),
        "shares": commitments.pack_scores(result.shares),
    }


# name: (price, validator bps, coordinator bps, min trainers, committee size, escrow, revealed,
#        scores, members by seat, shares)
SPLITS: dict[str, tuple[Any, ...]] = {
    "even": (
        1000 * ETHER,
        2000,
        500,
        2,
        3,
        10_000 * ETHER,
        [0, 1, 2, 3],
        [5, 5, 5, 5],
        [0, 1, 2],
        [10_000] * 3,
    ),
    "by score": (
        1000 * ETHER,
        2000,
        500,
        1,
        3,
        10_000 * ETHER,
        [0, 1, 2],
        [1, 2, 7],
        [7, 8, 9],
        [10_000, 5_000, 0],
    ),
    "capped by min trainers": (
        100 * ETHER,
        1000,
        0,
        4,
        1,
        100 * ETHER,
        [3, 5],
        [60_000, 1],
        [9],
        [10_000],
    ),
    "only one verified": (100 * ETHER, 1000, 0, 1, 1, 100 * ETHER, [3, 5], [9, 0], [5], [9_999]),
    "sentinels earn nothing": (
        100 * ETHER,
        1000,
        100,
        2,
        3,
        100 * ETHER,
        [1, 2, 3, 4],
        [U, I, 0, 10],
        [1, 2, 3],
        [1, 0, 10_000],
    ),
    "dust everywhere": (
        101,
        3333,
        77,
        3,
        3,
        1_000,
        [0, 1, 2],
        [3, 3, 5],
        [0, 5, 6],
        [3_333, 10_000, 1],
    ),
    "one wei": (1, 5000, 5000, 1, 1, 1, [0], [1], [1], [10_000]),
    "no fee, no validators' share": (
        7 * ETHER,
        0,
        0,
        1,
        3,
        7 * ETHER,
        [0, 1],
        [1, 1],
        [2, 3, 4],
        [10_000] * 3,
    ),
    "all to validators": (
        7 * ETHER,
        10_000,
        0,
        1,
        3,
        7 * ETHER,
        [0, 1],
        [1, 1],
        [2, 3, 4],
        [10_000] * 3,
    ),
    "large quantum": (
        2**126,
        2000,
        500,
        2,
        3,
        2**127 - 2**31,
        [0, 1, 2],
        [65_533, 1, 40_000],
        [2, 1, 0],
        [10_000, 9_000, 1],
    ),
    "fewer seats than the committee's size": (
        90 * ETHER,
        3000,
        0,
        1,
        5,
        90 * ETHER,
        [0],
        [5],
        [1, 2, 3, 4],
        [10_000] * 4,
    ),
}


def build_split() -> dict[str, Any]:
    return {"cases": [_split_case(name, *case) for name, case in SPLITS.items()]}


def _split_case(
    name: str,
    price: int,
    validator_bps: int,
    coordinator_bps: int,
    min_trainers: int,
    committee_size: int,
    escrow: int,
    revealed: list[int],
    scores: list[int],
    seats: list[int],
    shares: list[int],
) -> dict[str, Any]:
    terms = {
        "price_per_round": price,
        "validator_share_bps": validator_bps,
        "coordinator_share_bps": coordinator_bps,
        "min_trainers": min_trainers,
        "committee_size": committee_size,
    }
    parameters = JobParameters(**{**asdict(PARAMETERS), **terms})
    quantum = rewards.compute_quantum(Wei(escrow))
    tally = verdicts.Tally(tuple(map(Score, scores)), tuple(map(Bps, shares)))
    split = rewards.split_round(parameters, quantum, revealed, tally, seats)
    return {
        "name": name,
        **terms,
        "escrow": escrow,
        "quantum": quantum,
        "revealed": revealed,
        "scores": commitments.pack_scores(scores),
        "committee": seats,
        "shares": commitments.pack_scores(shares),
        "payments": rewards.pack_payments(split.payments),
        "fee": split.fee,
        "spent": split.spent,
    }


def build_merkle() -> dict[str, Any]:
    return {"cases": [_merkle_case(size) for size in (1, 2, 3, 4, 5, 7, 8, 9, 100)]}


def _merkle_case(size: int) -> dict[str, Any]:
    members = [3 * i for i in range(size)]
    digests = [word(f"update {size} {i}") for i in range(size)]
    scores = [(*EXTREME, 500, 65_533, 65_534)[i % 6] for i in range(size)]
    leaves = list(map(merkle.compute_verdict_leaf, members, digests, scores))
    proven = sorted({0, size // 2, size - 1})
    return {
        "members": members,
        "digests": digests,
        "scores": scores,
        "leaves": leaves,
        "root": merkle.compute_root(leaves),
        "contributors": merkle.compute_contributors(leaves),
        "proofs": [{"index": i, "proof": merkle.compute_proof(leaves, i)} for i in proven],
    }


PARAMETERS = JobParameters(
    spec_digest=Digest(word("spec")),
    initial_model=Digest(word("model")),
    rounds=10,
    price_per_round=Wei(100 * ETHER),
    validator_share_bps=Bps(2000),
    coordinator_share_bps=Bps(500),
    coordinator=PROVIDER,
    min_trainers=3,
    max_trainers=100,
    committee_size=5,
    min_stake=Wei(50 * ETHER),
    commit_window=60,
    reveal_window=61,
    ballot_commit_window=62,
    ballot_reveal_window=63,
    attest_window=64,
    recruit_until=1_900_000_000,
    max_failed_rounds=4,
    allowlist_root=Digest(word("allowlist")),
)
FILES = {
    "commitments": build_commitments,
    "messages": build_messages,
    "draw": build_draw,
    "tally": build_tally,
    "split": build_split,
    "merkle": build_merkle,
}


def _plain(value: Any) -> Any:
    """Bytes as 0x-hex; integers beyond 2^53 as decimal text, which every JSON reader keeps."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, int) and value >= 2**53:
        return str(value)
    return value


if __name__ == "__main__":
    main()
