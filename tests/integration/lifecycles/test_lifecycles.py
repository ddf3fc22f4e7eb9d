"""Random lives of a small network: after every step each balance on chain is what the model says.

WEAL_TEST_LIVES=300 for more of them, each longer and never the same (`make lifecycles`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import hypothesis
import pytest
from appeal_model import AppealModel
from appeal_player import AppealPlayer, JuryPlan
from appeal_rules import AppealRules
from chain_driver import ChainDriver, Papers
from choosing import choices, pick
from comparison import SEEN_AT_LEAST, SEEN_IN_LONG_RUNS, compare
from contracts_stage import ETHER, TERMS, Stage
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from money_model import Part, Refused
from round_model import Tick
from round_player import Plan, RoundPlayer

from commonweal.adapters.chain import ContractReverted
from commonweal.protocol import merkle
from commonweal.protocol.types import Address, Bps, Fault, Phase, Role, Wei

pytestmark = [pytest.mark.integration, pytest.mark.timeout(7_200)]

LIVES = int(os.environ.get("WEAL_TEST_LIVES", "0"))
PROVIDERS, REQUESTERS = 6, 2
TOKENS = 1_000 * ETHER
BOTH = Role.TRAINER | Role.VALIDATOR
SCORES = ((500, 700, 900), (0, 500), (0, 1, 65_533, 65_534, 65_535), (65_535, 65_535, 600))

providers = st.integers(0, PROVIDERS - 1)
jobs = st.integers(0, 3)
amounts = st.sampled_from((1, 10**9 - 1, 7 * ETHER + 3, 60 * ETHER, 90 * ETHER, 2_000 * ETHER))
roles = st.sampled_from((BOTH, BOTH, Role.TRAINER, Role.VALIDATOR))
plans = st.builds(
    Plan,
    diligence=st.sampled_from((1.0, 1.0, 0.9, 0.7, 0.4)),
    scores=st.sampled_from(SCORES),
    seed=st.integers(0, 2**16),
)


class Lifecycle(AppealRules):
    def __init__(self, chain: ChainDriver, seen: Counter[str]) -> None:
        """`seen` counts what happened: calls by function, refusals by error, ends of rounds."""
        super().__init__()
        self.chain, self._snapshot = chain, chain.snapshot()
        self.seen, self._changed = seen, False
        names = chain.accounts
        self.owners, self.requesters = names[1 : 1 + PROVIDERS], names[8 : 8 + REQUESTERS]
        self.outsider, self.prover, self.relay, self.coordinator = names[7], *names[11:14]
        self.watched = [*self.owners, *self.requesters, self.outsider, *names[11:14]]
        reader, now = chain.reader, chain.block
        rules = reader.fetch_parameters(1, now)
        self.watched.append(rules.treasury)
        wallets = {name: int(reader.fetch_balance(name, now)) for name in self.watched}
        contracts = chain.stage.deployment
        self.model = AppealModel(rules, wallets, contracts["Rounds"], contracts["Appeals"])
        self.papers = Papers(chain.stage, self.owners)
        at_hand = chain, self.papers, self.model, self.perform, self.relay
        self.player, self.court = RoundPlayer(*at_hand), AppealPlayer(*at_hand)

    def teardown(self) -> None:
        self.seen["rounds finalised"] += sum(job.finalised for job in self.model.jobs)
        self.seen["rounds failed"] += sum(job.failed for job in self.model.jobs)
        self.seen.update(job.state.name for job in self.model.jobs)
        self.seen.update(self.verdicts())
        self.chain.restore(self._snapshot)

    def perform(
        self,
        sender: Address,
        contract: str,
        function: str,
        args: list[object],
        predict: Callable[[Tick], object],
    ) -> None:
        """The model must refuse when the contract does, by the same error."""
        expected, refused = "", ""
        try:
            predict(self.chain.tick(sender))
        except Refused as refusal:
            expected = refusal.name
        try:
            self.chain.send(sender, contract, function, *args)
        except ContractReverted as error:
            refused = error.name
        assert refused == expected, (function, args)
        self.seen[refused or function] += 1
        self._changed = self._changed or not refused

    @initialize(
        stake=st.sampled_from((90 * ETHER, 200 * ETHER)),
        count=st.integers(3, PROVIDERS),
        named=st.booleans(),
        seats=st.sampled_from((1, 3, 5)),
    )
    def found(self, stake: int, count: int, named: bool, seats: int) -> None:
        """A job with enough members to start; besides a lone judge, enough for a jury."""
        self.create_job(0, 0, named, seats)
        for provider in range(count if seats == 3 else PROVIDERS):
            self.register(provider, BOTH, stake)
            self.join(0, provider, BOTH, 60 * ETHER)

    # Stake

    @rule(provider=providers, roles=roles, amount=amounts)
    def register(self, provider: int, roles: Role, amount: int) -> None:
        owner = self.owners[provider]
        args = [self.papers.operator(owner), int(roles), amount, "http://localhost", bytes(32)]
        self._registry(owner, "register", args, lambda _: self.model.register(owner, roles, amount))

    @rule(provider=providers, amount=amounts)
    def add_stake(self, provider: int, amount: int) -> None:
        owner = self.owners[provider]
        self._registry(owner, "addStake", [amount], lambda _: self.model.add_stake(owner, amount))

    @rule(provider=providers, amount=amounts, everything=st.booleans())
    def unbond(self, provider: int, amount: int, everything: bool) -> None:
        owner = self.owners[provider]
        if everything and owner in self.model.stakes:
            amount = self.model.stakes[owner].parts[Part.FREE]
        self._registry(owner, "unbond", [amount], lambda t: self.model.unbond(owner, amount, t.now))

    @precondition(
        lambda self: any(stake.parts[Part.UNBONDING] for stake in self.model.stakes.values())
    )
    @rule(provider=providers)
    def withdraw(self, provider: int) -> None:
        owner = self.owners[provider]
        self._registry(owner, "withdraw", [], lambda t: self.model.withdraw(owner, t.now))

    @precondition(lambda self: any(stake.jailed_until for stake in self.model.stakes.values()))
    @rule(provider=providers)
    def unjail(self, provider: int) -> None:
        owner = self.owners[provider]
        if owner in self.model.stakes:
            self._registry(owner, "unjail", [], lambda t: self.model.unjail(owner, t.now))

    @precondition(lambda self: self.model.slashes)
    @rule(choice=choices, wait=st.booleans())
    def settle_slash(self, choice: int, wait: bool) -> None:
        held = [at for at, its in enumerate(self.model.slashes, start=1) if not its.settled]
        slash = pick(choice, held, range(len(self.model.slashes) + 2))
        if wait:
            self.chain.travel(self.model.rules.appeal_window)
        self._registry(
            self.relay, "settleSlash", [slash], lambda t: self.model.settle_slash(slash, t.now)
        )

    # Jobs

    @rule(
        requester=st.integers(0, REQUESTERS - 1),
        extra=st.sampled_from((0, 1, 10**12)),
        named=st.booleans(),
        seats=st.sampled_from((1, 3, 5)),
    )
    def create_job(self, requester: int, extra: int, named: bool, seats: int) -> None:
        coordinator = self.coordinator if named else TERMS.coordinator
        price = Wei(40 * ETHER + 7)
        terms = replace(
            TERMS,
            coordinator=coordinator,
            committee_size=seats,
            price_per_round=price,
            max_trainers=5,
            coordinator_share_bps=Bps(333),
            rounds=2,
        )
        owner, escrow = self.requesters[requester], terms.rounds * price + extra
        fields = [tuple(getattr(terms, name) for name in terms.__slots__), escrow]
        self._board(
            owner, "createJob", fields, lambda _: self.model.create_job(owner, terms, escrow)
        )

    @rule(job=jobs, provider=providers, roles=roles, stake=amounts)
    def join(self, job: int, provider: int, roles: Role, stake: int) -> None:
        number, owner = self._job(job), self.owners[provider]
        if owner in self.model.stakes:
            nonce = self._nonce(number, owner)
            args = self.papers.join(number, owner, roles, stake, nonce)
            self._board(
                self.relay, "joinJob", args, lambda _: self.model.join(number, owner, roles, stake)
            )

    @rule(choice=choices)
    def leave(self, choice: int) -> None:
        active = [
            (number, Address(member.provider))
            for number, job in enumerate(self.model.jobs, start=1)
            for member in job.members
            if member.active
        ]
        number, owner = pick(choice, active, [(self._job(choice), its) for its in self.owners])
        args = self.papers.leave(number, owner, self._nonce(number, owner))
        self._board(self.relay, "leaveJob", args, lambda t: self.model.leave(number, owner, t.now))

    @precondition(lambda self: self._jobs(over=True))
    @rule(choice=choices)
    def release(self, choice: int) -> None:
        number = pick(choice, self._jobs(over=True), self._jobs())
        members = [member.provider for member in self.model.jobs[number - 1].members]
        self._board(
            self.relay, "release", [number, members], lambda t: self.model.release(number, t.now)
        )

    @rule(job=jobs, requester=st.integers(0, REQUESTERS - 1))
    def cancel(self, job: int, requester: int) -> None:
        number, caller = self._job(job), self.requesters[requester]
        self._board(caller, "cancel", [number], lambda _: self.model.cancel(number, caller))

    @precondition(lambda self: self._jobs(over=True))
    @rule(choice=choices)
    def refund(self, choice: int) -> None:
        number = pick(choice, self._jobs(over=True), self._jobs())
        self._board(self.relay, "refund", [number], lambda _: self.model.refund(number))

    @precondition(lambda self: self._earned())
    @rule(choice=choices)
    def claim(self, choice: int) -> None:
        anything = [(self._job(choice), owner) for owner in self.owners]
        number, owner = pick(choice, self._earned(), anything)
        args: list[object] = [owner, [number]]
        self._board(self.relay, "claim", args, lambda _: self.model.claim(owner, number))

    @precondition(lambda self: self.model.fees)
    @rule(named=st.booleans())
    def claim_fees(self, named: bool) -> None:
        recipient = self.coordinator if named else self.relay
        self._board(
            self.prover, "claimFees", [recipient], lambda _: self.model.claim_fees(recipient)
        )

    # Rounds, faults, time

    @rule(choice=choices, phases=st.sampled_from((1, 3, 6)), plan=plans, prosecuted=st.booleans())
    def play(self, choice: int, phases: int, plan: Plan, prosecuted: bool) -> None:
        """So many phases of a round; the next time it goes on from there."""
        likely = [number for number in self._jobs(over=False) if self._can_be_played(number)]
        number = pick(choice, likely, self._jobs())
        for _ in range(phases):
            self.player.play_phase(number, plan)
            if not self._can_be_played(number):
                break
        for fault in self._faults():
            if prosecuted and not self.model.is_proven(*fault):
                self._prosecute(*fault)

    @rule(choice=choices, seed=st.integers(0, 2**16))
    def play_a_good_round(self, choice: int, seed: int) -> None:
        self.play(choice, 6, Plan(1.0, SCORES[seed % len(SCORES)], seed), prosecuted=True)

    @rule(choice=choices, seed=st.integers(0, 2**16), overturn=st.booleans())
    def play_a_contested_round(self, choice: int, seed: int, overturn: bool) -> None:
        """A round, and a case about it from the appeal to its end."""
        self.play_a_good_round(choice, seed)
        if self._disputable():
            self.appeal(8 * seed + 1, 0)
        if self.model.trials:  # the board may have refused the appeal
            plan = JuryPlan(1.0, 1.0 if overturn else 0.0, seed % 4 == 0, seed)
            self.judge(8 * len(self.model.trials) - 7, 8, plan, 0)

    @precondition(lambda self: self._faults())
    @rule(choice=choices)
    def prove(self, choice: int) -> None:
        """A fault on record, proven before or not; or one that nobody made."""
        faults = self._faults()
        fresh = [its for its in faults if not self.model.is_proven(*its)]
        self._prosecute(*pick(choice, fresh, [*faults, (Fault.UNREVEALED, 1, 1, 0)]))

    def _prosecute(self, fault: Fault, job: int, round_: int, place: int) -> None:
        function, args = self._proof(fault, job, round_, place)

        def predict(tick: Tick) -> None:
            self.model.prove(fault, job, round_, place, tick)

        self.perform(self.prover, "Faults", function, args, predict)

    @rule(seconds=st.sampled_from((1, 599, 601, 3_601, 8 * 86_400)))
    def travel(self, seconds: int) -> None:
        self.chain.travel(seconds)

    @invariant()
    def the_chain_is_as_predicted(self) -> None:
        """A transaction that was refused changed nothing, on either side."""
        if self._changed:
            compare(self.chain.reader, self.chain.block, self.model, self.watched)
            self._changed = False

    def _faults(self) -> list[tuple[Fault, int, int, int]]:
        found = []
        for (job, round_), past in self.model.past.items():
            found += [(Fault.UNREVEALED, job, round_, member) for member in past.unrevealed]
            found += [(Fault.ABSENT, job, round_, seat) for seat in past.absent]
            for member, score in past.verdicts.items():
                if score >= 65_534:
                    kind = Fault.INVALID_UPDATE if score == 65_535 else Fault.UNAVAILABLE_UPDATE
                    found.append((kind, job, round_, member))
            if len(self.model.jobs[job - 1].members) > round_:
                found.append((Fault.EQUIVOCATION, job, round_, round_))
        return sorted(found)

    def _proof(self, fault: Fault, job: int, round_: int, place: int) -> tuple[str, list[object]]:
        slot: list[object] = [job, round_]
        if fault is Fault.UNREVEALED:
            return "proveUnrevealed", [*slot, place]
        if fault is Fault.ABSENT:
            return "proveAbsent", [*slot, place]
        if fault is Fault.EQUIVOCATION:
            owner = self.model.jobs[job - 1].members[place].provider
            return "proveEquivocation", [*slot, 0, *self.papers.contradiction(job, round_, owner)]
        name = "proveInvalid" if fault is Fault.INVALID_UPDATE else "proveUnavailable"
        verdicts = sorted(self.model.past[job, round_].verdicts.items())
        digests = {member: self.papers.digest(job, round_, member) for member, _ in verdicts}
        leaves = [merkle.compute_verdict_leaf(m, digests[m], score) for m, score in verdicts]
        path = merkle.compute_proof(leaves, [member for member, _ in verdicts].index(place))
        past = self.model.past[job, round_]
        settlement = merkle.compute_settlement_leaf(
            past.committee, past.attesters, past.finalised_at, len(verdicts)
        )
        return name, [*slot, place, digests[place], [*path, settlement]]

    def _earned(self) -> list[tuple[int, Address]]:
        return [
            (number, Address(member.provider))
            for number, job in enumerate(self.model.jobs, start=1)
            for member in job.members
            if member.units
        ]

    def _jobs(self, over: bool | None = None) -> list[int]:
        jobs = enumerate(self.model.jobs, start=1)
        return [number for number, job in jobs if over is None or job.state.is_over is over]

    def _can_be_played(self, number: int) -> bool:
        in_flight = self.model.round(number).phase is not Phase.NONE
        return in_flight or self.model.jobs[number - 1].is_ready(self.chain.now)

    def _job(self, choice: int) -> int:
        return choice % len(self.model.jobs) + 1

    def _nonce(self, job: int, owner: Address) -> int:
        record = self.model.jobs[job - 1]
        place = record.find(owner)
        return 0 if place is None else record.members[place].nonce

    def _registry(
        self, sender: Address, function: str, args: list[object], predict: Callable[[Tick], object]
    ) -> None:
        self.perform(sender, "ProviderRegistry", function, args, predict)

    def _board(
        self, sender: Address, function: str, args: list[object], predict: Callable[[Tick], object]
    ) -> None:
        self.perform(sender, "JobBoard", function, args, predict)


@pytest.fixture(scope="module")
def chain(stage: Stage) -> Iterator[ChainDriver]:
    """Everybody has tokens, and the contracts may take them."""
    driver = ChainDriver(stage)
    for account in driver.accounts[1 : 8 + REQUESTERS]:
        stage.send(stage.deployer, "CommonwealToken", "transfer", account, TOKENS)
        for contract in ("ProviderRegistry", "JobBoard", "Appeals"):
            args = (stage.deployment[contract], 2**256 - 1)
            driver.send(account, "CommonwealToken", "approve", *args)
    yield driver
    driver.close()


def test_every_life_goes_as_the_model_says(chain: ChainDriver) -> None:
    deep, seen = LIVES > 0, Counter[str]()
    run_state_machine_as_test(
        lambda: Lifecycle(chain, seen),
        settings=settings(
            max_examples=LIVES or 20,
            stateful_step_count=60 if deep else 30,
            derandomize=not deep,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],  # making a failure smaller takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    print("\n" + ", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    assert (SEEN_IN_LONG_RUNS if deep else SEEN_AT_LEAST) <= seen.keys()
