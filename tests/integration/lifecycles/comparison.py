"""The chain at one block against the model, to the wei; and what a run must have seen."""

from __future__ import annotations

from collections.abc import Sequence

from appeal_model import AppealModel
from money_model import Part

from commonweal.adapters.chain import ChainReader
from commonweal.protocol.types import Address

# A run in which these never came about has shown little.
SEEN_AT_LEAST = {"joinJob", "revealBallots", "finalise", "claim", "rounds finalised"}
SEEN_IN_LONG_RUNS = SEEN_AT_LEAST | {
    *("addStake", "unbond", "withdraw", "leaveJob", "release", "cancel", "refund", "claimFees"),
    *("proveUnrevealed", "proveAbsent", "proveInvalid", "proveEquivocation", "settleSlash"),
    *("NotYet", "StakeTooLow", "COMPLETED", "CANCELLED", "EXHAUSTED", "rounds failed"),
    *("appealSlash", "appealModel", "appealAgain", "commitVotes", "revealVote", "takeOwed"),
    *("slash overturned", "slash upheld", "model overturned", "model upheld"),
}


def compare(reader: ChainReader, at: int, model: AppealModel, watched: Sequence[Address]) -> None:
    for name in watched:
        assert reader.fetch_balance(name, at) == model.wallets[name], name
    for name in model.fees:
        assert reader.fetch_fees(Address(name), at) == model.fees[name], name
    _compare_stakes(reader, at, model)
    _compare_slashes(reader, at, model)
    for number in range(1, len(model.jobs) + 1):
        _compare_job(reader, at, model, number)
        _compare_round(reader, at, model, number)
    _compare_trials(reader, at, model)
    _compare_sums(reader, at, model)


def _compare_stakes(reader: ChainReader, at: int, model: AppealModel) -> None:
    for owner, stake in model.stakes.items():
        its = reader.fetch_provider(Address(owner), at)
        parts = {Part.FREE: its.free, Part.LOCKED: its.locked, Part.UNBONDING: its.unbonding}
        assert parts == {part: stake.parts[part] for part in parts}, owner
        assert its.withdrawable_at == stake.withdrawable_at, owner
        assert reader.call("ProviderRegistry", "holdsOn", owner, at=at) == model.holds[owner], owner
        assert (its.missed_duties, its.jailed_until) == (stake.missed, stake.jailed_until), owner


def _compare_slashes(reader: ChainReader, at: int, model: AppealModel) -> None:
    assert reader.call("ProviderRegistry", "slashCount", at=at) == len(model.slashes)
    for number, slash in enumerate(model.slashes, start=1):
        its = reader.fetch_slash(number, at)
        expected = (slash.amount, slash.bounty, slash.settled, slash.settleable_at)
        assert (its.amount, its.bounty, its.settled, its.settleable_at) == expected, number


def _compare_job(reader: ChainReader, at: int, model: AppealModel, number: int) -> None:
    its, job = model.jobs[number - 1], reader.fetch_job(number, at)
    assert (job.escrow, job.quantum, job.state) == (its.escrow, its.quantum, its.state)
    assert (job.finalised_rounds, job.failed_rounds) == (its.finalised, its.failed)
    members = [(m.provider, m.active, m.stake, m.credit) for m in reader.fetch_members(number, at)]
    assert members == [(m.provider, m.active, m.stake, m.units * its.quantum) for m in its.members]


def _compare_round(reader: ChainReader, at: int, model: AppealModel, number: int) -> None:
    its, expected = reader.fetch_round(number, at), model.round(number)
    assert (its.round, its.phase) == (expected.number, expected.phase)
    if expected.phase:
        assert (its.committee, its.ends_at) == (expected.committee, expected.ends_at)


def _compare_trials(reader: ChainReader, at: int, model: AppealModel) -> None:
    assert reader.fetch_appeal_count(at) == len(model.trials)
    for number, trial in enumerate(model.trials, start=1):
        its = reader.fetch_case(number, at)
        expected = (trial.stage, trial.level, trial.overturned, trial.ends_at, trial.seed_block)
        assert (its.stage, its.level, its.overturned, its.ends_at, its.seed_block) == expected
        for level, jury in enumerate(trial.juries, start=1):
            assert reader.fetch_jury(number, level, at) == jury, number
    for name, debt in model.owed.items():
        assert reader.call("Appeals", "owedTo", name, at=at) == debt, name


def _compare_sums(reader: ChainReader, at: int, model: AppealModel) -> None:
    """The contracts hold what they owe, and nothing else."""
    stakes = sum(sum(stake.parts.values()) for stake in model.stakes.values())
    held = sum(slash.amount for slash in model.slashes if not slash.settled)
    credits = sum(m.units * job.quantum for job in model.jobs for m in job.members)
    escrows = sum(job.escrow for job in model.jobs)
    bonds = [
        trial.bond << at for trial in model.trials for at in range(trial.level) if trial.is_open
    ]
    contracts = reader.deployment.contracts
    assert reader.fetch_balance(contracts["ProviderRegistry"], at) == stakes + held
    owed = escrows + credits + sum(model.fees.values())
    assert reader.fetch_balance(contracts["JobBoard"], at) == owed
    assert reader.fetch_balance(contracts["Appeals"], at) == sum(bonds) + sum(model.owed.values())
