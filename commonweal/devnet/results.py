"""What a finished job on the local network came to: gas, providers, money. Read from the chain."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from commonweal.adapters.chain import ChainReader
from commonweal.devnet.follow import Follower, RoundProgress
from commonweal.devnet.network import Network
from commonweal.protocol import events as ev
from commonweal.protocol.types import Verdict


@dataclass(frozen=True, slots=True)
class RoundResult:
    round: int
    accuracy: float | None
    gas: int
    gas_per_verified_update: int | None
    seconds: int
    verified: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ProviderResult:
    name: str
    behaviour: str
    committed: int
    verified: int
    rejected: int
    invalid: int
    earned_wei: int
    slashed_wei: int
    stake_wei: int


@dataclass(frozen=True, slots=True)
class Money:
    """`deposited`, `paid` and `refunded` by events; `held` by the token's balances."""

    deposited_wei: int
    held_wei: int
    paid_wei: int
    refunded_wei: int

    @property
    def adds_up(self) -> bool:
        return self.deposited_wei == self.held_wei + self.paid_wei + self.refunded_wei


def compute_rounds(reader: ChainReader, follower: Follower, until: int) -> list[RoundResult]:
    gas = _fetch_round_gas(reader, follower.job, until)
    return [_compute_round(round_, gas[round_.round]) for round_ in follower.rounds.values()]


def _compute_round(round_: RoundProgress, gas: int) -> RoundResult:
    verified = round_.count(Verdict.VERIFIED)
    return RoundResult(
        round=round_.round,
        accuracy=round_.accuracy,
        gas=gas,
        gas_per_verified_update=gas // verified if verified else None,
        seconds=round_.seconds,
        verified=verified,
        rejected=round_.count(Verdict.REJECTED) + round_.count(Verdict.INVALID),
    )


def _fetch_round_gas(reader: ChainReader, job: int, until: int) -> dict[int, int]:
    """Gas of every transaction to Rounds, reverted ones too, by the round it found in progress."""
    events = reader.fetch_events(reader.deployment.deployed_block, until, job)
    opened = [each for each in events if isinstance(each, ev.RoundOpened)]
    first = opened[0].ref.block_number if opened else until
    positions = [_fetch_position(reader, each.ref) for each in opened]
    gas: dict[int, int] = defaultdict(int)
    for position, used in _fetch_transactions(reader, first, until):
        before = bisect_left(positions, position)  # the opening one belongs to the round it ends
        gas[opened[max(before, 1) - 1].round] += used
    return gas


def _fetch_transactions(
    reader: ChainReader, first: int, until: int
) -> Iterator[tuple[tuple[int, int], int]]:
    """(block, place in it) and gas of every transaction to the Rounds contract."""
    eth, rounds = reader.web3.eth, str(reader.deployment["Rounds"])
    for number in range(first, until + 1):
        for transaction in eth.get_block(number, True)["transactions"]:
            assert not isinstance(transaction, bytes)
            if str(transaction.get("to")) == rounds:
                receipt = eth.get_transaction_receipt(transaction["hash"])
                yield (number, receipt["transactionIndex"]), receipt["gasUsed"]


def _fetch_position(reader: ChainReader, ref: ev.EventRef) -> tuple[int, int]:
    receipt = reader.web3.eth.get_transaction_receipt(ref.tx_hash)  # type: ignore[arg-type]
    return ref.block_number, receipt["transactionIndex"]


def compute_providers(
    network: Network, follower: Follower, events: Sequence[ev.ChainEvent], at: int
) -> list[ProviderResult]:
    earned: dict[str, int] = defaultdict(int)
    slashed: dict[str, int] = defaultdict(int)
    for event in events:
        if isinstance(event, ev.RewardClaimed):
            earned[event.provider] += event.amount
        elif isinstance(event, ev.StakeSlashed):
            slashed[event.provider] += event.amount
    members = {provider: member for member, provider in follower.members.items()}
    results = []
    for agent in network.agents:
        owner = agent.owner.address
        stake = network.reader.fetch_provider(owner, at)
        counts = _count_verdicts(follower, members.get(owner))
        results.append(
            ProviderResult(
                name=agent.plan.name,
                behaviour=agent.plan.behaviour,
                **counts,
                earned_wei=earned[owner],
                slashed_wei=slashed[owner],
                stake_wei=stake.free + stake.locked + stake.unbonding,
            )
        )
    return results


def _count_verdicts(follower: Follower, member: int | None) -> dict[str, int]:
    rounds = follower.rounds.values()
    verdicts = [round_.verdicts.get(member) for round_ in rounds if member is not None]
    return {
        "committed": sum(member in round_.committed for round_ in rounds),
        "verified": verdicts.count(Verdict.VERIFIED),
        "rejected": verdicts.count(Verdict.REJECTED),
        "invalid": verdicts.count(Verdict.INVALID),
    }


def compute_money(reader: ChainReader, events: Sequence[ev.ChainEvent], at: int) -> Money:
    """Of the whole network: stakes and escrow in; held by the contracts, paid and refunded out."""
    totals: dict[str, int] = defaultdict(int)
    for event in events:
        match event:
            case ev.JobCreated():
                totals["deposited"] += event.escrow
            case ev.StakeAdded():
                totals["deposited"] += event.amount
            case ev.RewardClaimed() | ev.FeeClaimed() | ev.StakeWithdrawn():
                totals["paid"] += event.amount
            case ev.SlashSettled():
                totals["paid"] += event.to_treasury + event.bounty
            case ev.EscrowRefunded():
                totals["refunded"] += event.amount
            case _:
                pass
    holders = ("ProviderRegistry", "JobBoard", "Rounds", "Faults", "Appeals", "ModelLedger")
    held = sum(reader.fetch_balance(reader.deployment[name], at) for name in holders)
    return Money(totals["deposited"], held, totals["paid"], totals["refunded"])
