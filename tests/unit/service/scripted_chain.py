"""A chain that does what a test says: blocks of protocol events, and forks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from commonweal.adapters.chain import Block, BlockUnknown
from commonweal.protocol import events as ev
from commonweal.protocol.commitments import pack_entries, pack_members, pack_scores
from commonweal.protocol.events import ChainEvent, EventRef
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    FailureReason,
    JobParameters,
    JobState,
    Phase,
    Role,
    Wei,
)

NOBODY = Address("0x" + "00" * 20)
OWNERS = [Address("0x" + f"{number:040x}") for number in range(1, 5)]
OPERATORS = [Address("0x" + f"{number:040x}") for number in range(101, 105)]
Script = Callable[[EventRef], ChainEvent]


def word(number: int) -> bytes:
    return number.to_bytes(32)


def salt(number: int) -> bytes:
    return number.to_bytes(16)


PARAMETERS = JobParameters(
    spec_digest=Digest(word(1)),
    initial_model=Digest(word(2)),
    rounds=2,
    price_per_round=Wei(10**20),
    validator_share_bps=Bps(2000),
    coordinator_share_bps=Bps(100),
    coordinator=NOBODY,
    min_trainers=2,
    max_trainers=3,
    committee_size=3,
    min_stake=Wei(10**18),
    commit_window=60,
    reveal_window=60,
    ballot_commit_window=60,
    ballot_reveal_window=60,
    attest_window=60,
    recruit_until=10_000,
    max_failed_rounds=1,
    allowlist_root=ZERO_DIGEST,
)


@dataclass
class ScriptedChain:
    """Block numbers count from 0; block 0 is empty."""

    blocks: list[tuple[Block, list[ChainEvent]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.blocks:
            self.mine([])

    def mine(self, scripts: Sequence[Script], salt: str = "") -> None:
        number = len(self.blocks)
        parent = self.blocks[-1][0].hash if self.blocks else bytes(32)
        hash_ = hashlib.sha256(parent + f"{number}{salt}".encode()).digest()
        block = Block(number, hash_, parent, 1_000 + 10 * number)
        refs = [
            EventRef(number, hash_, hashlib.sha256(hash_ + bytes([i])).digest(), i, block.timestamp)
            for i in range(len(scripts))
        ]
        events = [script(ref) for script, ref in zip(scripts, refs, strict=True)]
        self.blocks.append((block, events))

    def fork(self, after: int) -> ScriptedChain:
        """Another chain with the same blocks up to `after`."""
        return ScriptedChain(self.blocks[: after + 1])

    def fetch_head(self) -> Block:
        return self.blocks[-1][0]

    def fetch_head_and(self, number: int) -> tuple[Block, Block | None]:
        return self.fetch_head(), self.blocks[number][0] if number < len(self.blocks) else None

    def fetch_block(self, number: int) -> Block:
        if number >= len(self.blocks):
            raise BlockUnknown(f"no block {number}", block=number)
        return self.blocks[number][0]

    def fetch_events(self, from_block: int, to_block: int) -> list[ChainEvent]:
        return [event for _, events in self.blocks[from_block : to_block + 1] for event in events]


def register() -> list[Script]:
    scripts: list[Script] = []
    for owner, operator in zip(OWNERS[:3], OPERATORS[:3], strict=True):
        scripts += [
            lambda ref, o=owner, p=operator: ev.ProviderRegistered(ref, o, p, Role(3)),  # type: ignore[misc]
            lambda ref, o=owner: ev.StakeAdded(ref, o, Wei(10**30)),  # type: ignore[misc]
        ]
    return scripts


def create_job(job: int = 1) -> list[Script]:
    return [
        lambda ref: ev.JobCreated(
            ref, job, OWNERS[3], Digest(word(1)), Wei(2 * 10**20), Wei(22), 1, PARAMETERS
        )
    ]


def join(job: int = 1) -> list[Script]:
    scripts: list[Script] = []
    for index, owner in enumerate(OWNERS[:3]):
        scripts += [
            lambda ref, o=owner: ev.StakeLocked(ref, o, Wei(10**18)),  # type: ignore[misc]
            lambda ref, i=index: ev.MemberJoined(  # type: ignore[misc]
                ref, job, i, OWNERS[i], OPERATORS[i], Role(3), Wei(10**18)
            ),
        ]
    return scripts


def open_round(round_: int, job: int = 1) -> list[Script]:
    return [lambda ref: ev.RoundOpened(ref, job, round_, Digest(word(2)), 5_000)]


def commit(round_: int, members: Sequence[int], job: int = 1) -> list[Script]:
    entries = pack_entries([(member, word(100 + member)) for member in members])
    return [
        lambda ref: ev.UpdatesCommitted(ref, job, round_, 0, entries),
        lambda ref: ev.PhaseStarted(ref, job, round_, Phase.REVEAL, 5_060),
    ]


def reveal(round_: int, members: Sequence[int], job: int = 1) -> list[Script]:
    openings = b"".join(word(200 + m) + salt(m) for m in members)
    opened = (1 << len(members)) - 1
    packed = pack_members(members)
    return [
        lambda ref: ev.CommitteeDrawn(ref, job, round_, word(9), (0, 1, 2)),
        lambda ref: ev.UpdatesRevealed(ref, job, round_, 0, packed, opened, openings),
    ]


def finish(round_: int, scores: Sequence[int], model: int, job: int = 1) -> list[Script]:
    ballots = pack_scores(scores) * 3
    salts, seats = salt(7) * 3, b"\x00\x01\x02"
    payments = b"".join(m.to_bytes(2) + (1000 + m).to_bytes(4) for m in range(len(scores)))
    packed, shares = pack_scores(scores), pack_scores([10_000] * 3)
    spent = Wei(22 * sum(1000 + m for m in range(len(scores))) + 5)
    digest = Digest(word(model))
    return [
        lambda ref: ev.BallotsCommitted(ref, job, round_, seats, (word(8),) * 3),
        lambda ref: ev.BallotsRevealed(ref, job, round_, seats, ballots, salts),
        lambda ref: ev.RoundTallied(ref, job, round_, packed, shares),
        lambda ref: ev.ModelAttested(ref, job, round_, digest, seats),
        lambda ref: ev.ModelRecorded(ref, job, round_, digest, word(77)),
        lambda ref: ev.RoundFinalised(ref, job, round_, digest, word(77)),
        lambda ref: ev.RoundSettled(ref, job, round_, payments, OWNERS[3], Wei(5), spent),
    ]


def fail(round_: int, job: int = 1) -> list[Script]:
    return [
        lambda ref: ev.UnrevealedRecorded(ref, job, round_, (0b100,)),
        lambda ref: ev.RoundFailed(ref, job, round_, FailureReason.TOO_FEW_REVEALS),
    ]


def slash(member: int, round_: int, job: int = 1) -> list[Script]:
    owner = OWNERS[member]
    return [
        lambda ref: ev.StakeSlashed(ref, 1, owner, Wei(10**30), Wei(5), OWNERS[3], 9_000),
        lambda ref: ev.FaultProven(ref, job, round_, member, ev.Fault.UNREVEALED, owner, 1),
    ]


def appeal(owner: Address, judge: Address) -> list[list[Script]]:
    """The slash of `owner` is frozen, and returned with something from `judge`: two blocks."""
    return [
        [lambda ref: ev.SlashFrozen(ref, 1)],
        [
            lambda ref: ev.SlashReturned(ref, 1, owner, Wei(10**30)),
            lambda ref: ev.StakeMoved(ref, judge, owner, Wei(7)),
        ],
    ]


def complete(job: int = 1) -> list[Script]:
    return [
        lambda ref: ev.JobStateChanged(ref, job, JobState.COMPLETED),
        lambda ref: ev.RewardClaimed(ref, job, OWNERS[0], Wei(22_000)),
        lambda ref: ev.EscrowRefunded(ref, job, OWNERS[3], Wei(10**18)),
    ]


def whole_job() -> ScriptedChain:
    """One final round and one failed one."""
    chain = ScriptedChain()
    for scripts in (
        register(),
        create_job(),
        join(),
        [lambda ref: ev.JobStateChanged(ref, 1, JobState.RUNNING), *open_round(1)],
        commit(1, [0, 1, 2]),
        reveal(1, [0, 1, 2]),
        finish(1, [5, 0, 65_535], model=3) + open_round(2),
        commit(2, [0, 1, 2]),
        fail(2),
        slash(2, 2),
        complete(),
    ):
        chain.mine(scripts)
    return chain
