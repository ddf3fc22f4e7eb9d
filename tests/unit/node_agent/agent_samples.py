"""Views, rounds and entries for the agent's tests: a small job, seen by member 1 on seat 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from commonweal.adapters.chain import Block
from commonweal.adapters.deployment import CONTRACTS, Deployment
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    Job,
    JobParameters,
    JobState,
    Member,
    Phase,
    Provider,
    Role,
    Round,
    Score,
    Wei,
)
from node_agent.decisions import Policy
from node_agent.signer import Signer
from node_agent.view import JobView, NodeView

BOTH = Role.TRAINER | Role.VALIDATOR
ME = Address("0x00000000000000000000000000000000000000A1")
OTHERS = tuple(Address(f"0x{i:040x}") for i in range(0xB1, 0xB5))
ROUNDS = Address("0x" + "0" * 38 + "c1")
DOMAIN = Domain(31337, ROUNDS)
DEPLOYMENT = Deployment(31337, 1, dict.fromkeys(CONTRACTS, ROUNDS))
NOW = 1_000
SIGNER = Signer(b"\x11" * 32, DEPLOYMENT, ME)

PARAMETERS = JobParameters(
    spec_digest=Digest(b"\x01" * 32),
    initial_model=Digest(b"\x02" * 32),
    rounds=2,
    price_per_round=Wei(100),
    validator_share_bps=Bps(2000),
    coordinator_share_bps=Bps(500),
    coordinator=ME,
    min_trainers=2,
    max_trainers=4,
    committee_size=3,
    min_stake=Wei(50),
    commit_window=60,
    reveal_window=60,
    ballot_commit_window=60,
    ballot_reveal_window=60,
    attest_window=60,
    recruit_until=NOW,
    max_failed_rounds=1,
    allowlist_root=ZERO_DIGEST,
)


def make_member(index: int, provider: Address, roles: Role = BOTH) -> Member:
    return Member(index, provider, provider, roles, True, Wei(50), Wei(0))


MEMBERS = tuple(make_member(i, a) for i, a in enumerate((OTHERS[0], ME, OTHERS[1], OTHERS[2])))


def make_job(**changes: Any) -> Job:
    job = Job(
        job=1,
        requester=OTHERS[3],
        state=JobState.RUNNING,
        parameters_version=1,
        finalised_rounds=0,
        failed_rounds=0,
        members=4,
        active_trainers=3,
        active_validators=4,
        escrow=Wei(200),
        quantum=Wei(1),
        parameters=PARAMETERS,
    )
    return replace(job, **changes)


def make_round(phase: Phase, **changes: Any) -> Round:
    drawn = phase in (Phase.BALLOT_COMMIT, Phase.BALLOT_REVEAL, Phase.ATTEST)
    round_ = Round(
        job=1,
        round=1,
        phase=phase,
        ends_at=NOW + 60,
        seed_block=0 if phase in (Phase.NONE, Phase.COMMIT) else 7,
        expected=4,
        commits=0,
        reveals=0,
        batches=0,
        committee_size=3,
        committee=(1, 0, 3) if drawn else (),
        ballots_committed=frozenset(),
        ballots_revealed=frozenset(),
        attested=frozenset(),
        parent_model=Digest(b"\x02" * 32),
        agreed_model=ZERO_DIGEST,
        committed=frozenset(),
        revealed=frozenset(),
    )
    return replace(round_, **changes)


def make_view(round_: Round, *, joined: bool = True, **changes: Any) -> NodeView:
    account = Provider(ME, ME, BOTH, 0, 0, Wei(100), Wei(0), Wei(0), 0)
    job = make_job(**{k: v for k, v in changes.items() if k in Job.__dataclass_fields__})
    account = replace(
        account, **{k: v for k, v in changes.items() if k in ("free", "jailed_until", "roles")}
    )
    me = MEMBERS[1] if joined else None
    return NodeView(
        block=Block(10, b"\x0a" * 32, b"\x09" * 32, NOW),
        account=account,
        jobs=(JobView(job, round_, me, MEMBERS if joined else (), 0),),
    )


POLICY = Policy(roles=BOTH, stake_per_job=Wei(0))


def sign_update(round_: int = 1) -> Any:
    return SIGNER.commit_update(1, round_, 1, Digest(b"\x33" * 32))


def sign_ballot(round_: int = 1, seat: int = 0) -> Any:
    return SIGNER.commit_ballot(1, round_, 1, seat, (Score(0), Score(7)))


def sign_model(round_: int = 1, seat: int = 0) -> Any:
    return SIGNER.attest_model(1, round_, seat, Digest(b"\x44" * 32))
