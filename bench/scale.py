"""One round of 1,000 trainers on a local node, its messages in batches of any size and order.

python -m bench.scale --trainers 1000 --committee 9 --roster 2048 [--json]

Every transaction must stay below the 16.7 M gas that a chain takes. A job may ask for at most
10,000 scores a round, so 1,000 trainers go with a committee of nine. One seat is hostile: it calls
every update unavailable, which makes the dearest tally there is. Then validators join until the
roster holds 2,048 members, and the cost of a draw is taken as it grows.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import TypeVar

import structlog
from eth_utils.crypto import keccak
from rich.console import Console
from rich.table import Table

from bench.gas import PROJECT
from bench.round_driver import (
    Gas,
    Messages,
    Network,
    create_trainer,
    enrol,
    found_network,
    start_job,
)
from commonweal.adapters.local_chain import LocalChain
from commonweal.protocol.batches import (
    ContractCall,
    attest_model,
    commit_ballots,
    commit_updates,
    finalise_round,
    reveal_ballots,
    reveal_updates,
)
from commonweal.protocol.messages import BallotRevealMessage
from commonweal.protocol.types import MAX_BATCH, SCORE_UNAVAILABLE, Role

LIMIT = 16_777_216  # gas of one transaction, EIP-7825
_SMALLEST_ROSTER = 16
_SEEDS = 16  # draws per size of the roster
_MAX_COMMITTEE = 15
_HOSTILE_SEAT = 0

T = TypeVar("T")


@dataclass(frozen=True)
class HostileMessages(Messages):
    def ballot(self, seat: int) -> BallotRevealMessage:
        ballot = super().ballot(seat)
        if seat != _HOSTILE_SEAT:
            return ballot
        return ballot.model_copy(update={"scores": (SCORE_UNAVAILABLE,) * len(ballot.scores)})


@dataclass
class Scale:
    trainers: int
    committee: int
    transactions: list[tuple[str, int]] = field(default_factory=list)  # (phase, gas)
    setup: Gas = field(default_factory=dict)  # the dearest of each kind, before the round
    draws: dict[int, int] = field(default_factory=dict)  # gas by members in the roster
    joins: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def dearest(self) -> int:
        return max(*(gas for _, gas in self.transactions), *self.setup.values())

    @property
    def gas_per_trainer(self) -> int:
        """Of the round, without enrolling."""
        return sum(gas for _, gas in self.transactions) // self.trainers


def run(trainers: int, committee: int, roster: int, seed: str) -> Scale:
    started, scale = time.monotonic(), Scale(trainers, committee)
    with LocalChain(PROJECT) as chain:
        network = found_network(chain.rpc_url, trainers, committee, rounds=2)
        for members, trainer in enumerate(network.trainers, start=1):
            _note_roster(scale, network, members, enrol(network, trainer))
        setup = start_job(network)
        _play(scale, network, Random(seed))
        for members in range(trainers + 1, roster + 1):
            newcomer = create_trainer(chain.rpc_url, members)
            _note_roster(scale, network, members, enrol(network, newcomer, Role.VALIDATOR))
    scale.setup |= setup
    scale.seconds = round(time.monotonic() - started, 1)
    return scale


def _note_roster(scale: Scale, network: Network, members: int, join: int) -> None:
    if members >= _SMALLEST_ROSTER and members.bit_count() == 1:
        scale.joins[members] = join
        scale.draws[members] = _estimate_draw(network)


def _estimate_draw(network: Network) -> int:
    """Gas of a draw of 15 within a transaction, without the transaction's own; mean of many."""
    web3 = network.reader.web3
    total = 0
    for at in range(_SEEDS):
        args = (network.job, _MAX_COMMITTEE, keccak(text=f"seed {at}"))
        to, data = network.reader.encode("JobBoard", "drawCommittee", *args)
        total += web3.eth.estimate_gas({"to": to, "data": data}) - _compute_intrinsic(data)
    return total // _SEEDS


def _compute_intrinsic(data: bytes) -> int:
    return 21_000 + sum(16 if byte else 4 for byte in data)


def _play(scale: Scale, network: Network, chance: Random) -> None:
    messages = HostileMessages(network, round=1)
    commits = [messages.commitment(member) for member in range(scale.trainers)]
    for part in _split(commits, chance):
        _send(scale, network, "commit", commit_updates(part))
    network.let_seed_block_pass()
    record = network.record(1)
    openings = [messages.reveal(member) for member in range(scale.trainers)]
    for opened in _split(openings, chance):
        calls = reveal_updates(opened, record)
        chance.shuffle(calls)
        _send(scale, network, "reveal", calls)
    _send(scale, network, "draw", [network.draw()])
    _judge(scale, network, messages, chance)


def _judge(scale: Scale, network: Network, messages: Messages, chance: Random) -> None:
    """Every seat for itself, in any order; whoever is last tallies all the ballots."""
    seats = list(enumerate(network.committee()))
    for place in _shuffled(seats, chance):
        _send(
            scale, network, "ballot commit", [commit_ballots([messages.ballot_commitment(*place)])]
        )
    for left, (seat, _) in zip(reversed(range(len(seats))), _shuffled(seats, chance), strict=True):
        reveal = reveal_ballots([messages.ballot(seat)], network.record(1), repeat=left == 0)
        _send(scale, network, "ballot reveal" if left else "tally", [reveal])
    for place in _shuffled(seats, chance):
        _send(scale, network, "attest", attest_model([messages.attestation(*place)]))
    _send(scale, network, "finalise", [finalise_round(network.record(1))])


def _send(scale: Scale, network: Network, phase: str, calls: Sequence[ContractCall]) -> None:
    scale.transactions += [(phase, network.send(call)) for call in calls]


def _shuffled(items: Sequence[T], chance: Random) -> list[T]:
    return chance.sample(items, len(items))


def _split(items: Sequence[T], chance: Random) -> Iterator[list[T]]:
    """In any order, in parts of any size up to a batch."""
    left = _shuffled(items, chance)
    while left:
        size = chance.choice((1, MAX_BATCH, chance.randint(1, MAX_BATCH)))
        yield left[:size]
        left = left[size:]


def print_tables(scale: Scale) -> None:
    console = Console()
    title = (
        f"Every transaction of a round, {scale.trainers} trainers, committee of {scale.committee}"
    )
    table = Table("phase", title=title)
    for column in ("transactions", "dearest", "gas in all"):
        table.add_column(column, justify="right")
    for phase in dict(scale.transactions):
        gas = [used for name, used in scale.transactions if name == phase]
        table.add_row(phase, f"{len(gas):,}", f"{max(gas):,}", f"{sum(gas):,}")
    for phase, used in scale.setup.items():
        table.add_row(phase.replace("_", " "), "", f"{used:,}", "")
    console.print(table)
    rosters = Table("members", title="As the roster grows")
    for column in ("draw of 15", "join"):
        rosters.add_column(column, justify="right")
    for members, draw in scale.draws.items():
        rosters.add_row(f"{members:,}", f"{draw:,}", f"{scale.joins[members]:,}")
    console.print(rosters)
    console.print(
        f"dearest transaction {scale.dearest:,} (limit {LIMIT:,}), "
        f"{scale.gas_per_trainer:,} gas per trainer, {scale.seconds:g} s"
    )


def main() -> int:
    """Exit status 1 if a transaction is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainers", type=int, default=1000)
    parser.add_argument("--committee", type=int, default=9)
    parser.add_argument("--roster", type=int, default=2048)
    parser.add_argument("--seed", default="scale", help="for sizes and order of the batches")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    scale = run(options.trainers, options.committee, options.roster, options.seed)
    if options.json:
        print(json.dumps({**asdict(scale), "dearest": scale.dearest}))
    else:
        print_tables(scale)
    return 0 if scale.dearest < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
