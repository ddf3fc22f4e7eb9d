"""Agents, relay and keeper over a world that loses, repeats and reorders, with clocks that differ.

What each of them decides is its pure function, from any block that it happens to see; only the
world around them is made up. Whatever happened, once messages come through again the job ends, what
the relay took is on chain, and no honest agent is blamed for what begins from then on.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agent_samples import DEPLOYMENT, MEMBERS, POLICY
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unreliable_chain import WINDOW, Chain, Reverted, Sight

from commonweal.protocol.keeping import due_transition, transition_call
from commonweal.protocol.messages import Message
from commonweal.protocol.receipts import compute_id
from commonweal.protocol.types import Digest, Phase, Provider, Score, Wei
from node_agent import decisions as to_do
from node_agent.decisions import Wait, decide_job
from node_agent.journal import Slot, SlotEntry
from node_agent.signer import Signer
from node_agent.view import JobView as OwnView
from node_agent.view import NodeView
from service.batching import next_batch, sort_letters
from service.mailbox import Letter
from service.views import JobView

SKEW = WINDOW // 3  # seconds; a clock that is wrong by half a window cannot be helped
AGES = st.integers(0, 12)  # blocks by which somebody's view is old
BITS = st.integers(0, 255)
CRASHES = st.sampled_from(["", "", "before", "after"])
_PATIENCE = 40 * WINDOW  # seconds: more than all phases of the rounds that a job can have


@dataclass
class Agent:
    """`journal` outlives it; `signed` is what the world has seen it sign."""

    member: int
    skew: int
    journal: dict[tuple[int, int, Slot], SlotEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key = bytes([self.member + 1]) * 32
        self.signer = Signer(key, DEPLOYMENT, MEMBERS[self.member].provider)

    def decide(self, sight: Sight, now: int) -> to_do.Action:
        me = MEMBERS[self.member]
        account = Provider(me.provider, me.operator, me.roles, 0, 0, Wei(100), Wei(0), Wei(0), 0)
        job = OwnView(sight.job, sight.round, me, MEMBERS, 0)
        view = NodeView(sight.block, account, (job,))
        clock = max(sight.block.timestamp, now + self.skew)
        return decide_job(view, job, self.journal, clock, POLICY)

    def sign(self, action: Any, salt: int) -> SlotEntry | None:
        """Another value each time it is asked: nobody trains twice to the same bytes."""
        number = salt.to_bytes(32)
        match action:
            case to_do.TrainAndCommit():
                return self.signer.commit_update(1, action.round, self.member, Digest(number))
            case to_do.ScoreAndCommitBallot():
                scores = (Score(salt % 60_000),) * 4
                return self.signer.commit_ballot(1, action.round, self.member, action.seat, scores)
            case to_do.ComputeAndAttestModel():
                model = Digest(action.round.to_bytes(32))  # the one thing all agree on
                return self.signer.attest_model(1, action.round, action.seat, model)
        return None


class UnreliableWorld(RuleBasedStateMachine):
    @initialize(skews=st.lists(st.integers(-SKEW, SKEW), min_size=6, max_size=6))
    def begin(self, skews: list[int]) -> None:
        self.chain = Chain()
        self.agents = [Agent(each.member, skews[each.member]) for each in MEMBERS]
        self.relay_skew, self.keeper_skew = skews[4:]
        self.on_the_way: list[Message] = []
        self.mailbox: dict[str, Letter] = {}  # accepted and neither mined nor refused
        self.mined: dict[str, Letter] = {}
        self.refused: dict[str, Letter] = {}
        self.signed: defaultdict[tuple[int, int, Slot], set[str]] = defaultdict(set)
        self.count = 0

    # What everybody does, from a view that may be old

    @rule(place=st.integers(0, len(MEMBERS) - 1), age=AGES, crash=CRASHES)
    def agent_acts(self, place: int, age: int, crash: str) -> None:
        agent = self.agents[place]
        action = agent.decide(self.see(age), self.chain.now)
        if isinstance(action, Wait):
            return
        message = getattr(action, "message", None)
        if message is None:
            self.count += 1
            entry = agent.sign(action, self.count)
            assert entry is not None
            if crash == "before":
                return
            slot = (1, entry.round, entry.slot)
            assert slot not in agent.journal, f"{entry.slot} signed twice"
            agent.journal[slot] = entry
            message = entry.message
        if crash != "after":
            self.hand_out(agent, message)

    @rule(age=AGES, crash=CRASHES)
    def relay_acts(self, age: int, crash: str) -> None:
        sight = self.see(age)
        view = JobView(sight.job, sight.round, MEMBERS, sight.record, sight.block)
        found = sort_letters(view, list(self.mailbox.values()))
        self.move(found.mined, self.mined)
        self.move(found.closed, self.refused)
        now = max(self.chain.now + self.relay_skew, sight.block.timestamp)
        batch = next_batch(view, found.open, now=now, now_ms=1000 * now, delay=0.3)
        if batch is None or crash == "before":
            return
        for call in batch.calls:
            try:
                self.chain.take(call)
            except Reverted:
                return
        if crash != "after":  # it never hears that they are mined
            self.move(batch.letters, self.mined)

    @rule(age=AGES)
    def keeper_acts(self, age: int) -> None:
        sight = self.see(age)
        number, now = sight.block.number, self.chain.now + self.keeper_skew
        now = max(now, sight.block.timestamp)
        due = due_transition(
            sight.round, sight.job, now=now, block_number=number, record=sight.record
        )
        if due is None or sight.job.state.is_over:
            return
        with suppress(Reverted):
            self.chain.take(transition_call(due, 1, sight.record))

    @rule(turns=st.integers(1, 8), silent=BITS, lost=BITS, twice=BITS)
    def turns_are_taken(self, turns: int, silent: int, lost: int, twice: int) -> None:
        """Everybody in turn, but for a few that are silent, and messages that are lost."""
        for turn in range(turns):
            for agent in self.agents:
                if not silent >> agent.member & 1:
                    self.agent_acts(agent.member, 0, "")
            for place in reversed(range(len(self.on_the_way))):
                message = self.on_the_way.pop(place)
                if twice >> place & 1:
                    self.on_the_way.append(message)
                if not lost >> (place + turn) % 8 & 1:
                    self.accept(message)
            self.relay_acts(0, "")
            self.keeper_acts(0)
            self.chain.mine(1)

    # What the world does

    @rule(seconds=st.integers(0, WINDOW // 2), blocks=st.integers(1, 8))
    def time_passes(self, seconds: int, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.mine(seconds)
            seconds = 0

    @precondition(lambda self: self.on_the_way)
    @rule(place=st.integers(0, 10**6), to_relay=st.booleans(), again=st.booleans())
    def message_arrives(self, place: int, to_relay: bool, again: bool) -> None:
        place %= len(self.on_the_way)
        message = self.on_the_way[place] if again else self.on_the_way.pop(place)
        if to_relay:
            self.accept(message)
        else:
            self.deliver(message)

    @precondition(lambda self: self.on_the_way)
    @rule(place=st.integers(0, 10**6))
    def message_is_lost(self, place: int) -> None:
        self.on_the_way.pop(place % len(self.on_the_way))

    # What must be so

    @invariant()
    def nobody_signs_two_values_for_one_slot(self) -> None:
        for slot, values in getattr(self, "signed", {}).items():
            assert len(values) == 1, slot

    @invariant()
    def what_counts_as_mined_is_on_chain(self) -> None:
        if not hasattr(self, "chain"):
            return
        last = JobView(
            self.chain.job, self.chain.round, MEMBERS, self.chain.record, self.see(0).block
        )
        letters = list(self.mined.values())
        found = sort_letters(last, letters)
        assert not found.open  # neither ahead of the chain nor missing from its present phase

    def teardown(self) -> None:
        if not hasattr(self, "chain"):
            return
        came_through, since = dict(self.mailbox), self.chain.now
        ends_at, place = self.chain.round.ends_at, (self.chain.round.round, self.chain.round.phase)
        self.let_all_come_through()
        assert self.chain.is_over
        for blame in self.chain.blames:
            assert blame.phase_began < since, f"member {blame.member} is blamed"
        for key, letter in came_through.items():
            if since + SKEW + 3 < ends_at and _place(letter) == place:
                assert key in self.mined

    def let_all_come_through(self) -> None:
        deadline = self.chain.now + _PATIENCE
        while not self.chain.is_over and self.chain.now < deadline:
            for agent in self.agents:
                self.agent_acts(agent.member, 0, "")
            while self.on_the_way:
                self.accept(self.on_the_way.pop())
            self.relay_acts(0, "")
            self.nobody_signs_two_values_for_one_slot()
            self.keeper_acts(0)
            self.chain.mine(1)

    # Little helpers

    def see(self, age: int) -> Sight:
        return self.chain.sights[max(0, len(self.chain.sights) - 1 - age)]

    def hand_out(self, agent: Agent, message: Any) -> None:
        slot = _SLOTS.get(message.kind)
        if slot is not None:
            value = getattr(message, "commitment", None) or message.model_digest
            self.signed[agent.member, message.round, slot].add(value)
        self.on_the_way.append(message)

    def accept(self, message: Message) -> None:
        """By the relay: 202. It checks against what it sees of the chain."""
        key = compute_id(message)
        if key in self.mined or key in self.mailbox:
            return
        self.refused.pop(key, None)
        self.mailbox[key] = Letter(key, message, 1000 * self.chain.now)

    def deliver(self, message: Message) -> None:
        """By the sender itself, as a batch of one."""
        sight = self.see(0)
        view = JobView(sight.job, sight.round, MEMBERS, sight.record, sight.block)
        letter = Letter("own", message, 0)
        batch = next_batch(view, [letter], now=self.chain.now, now_ms=10**15, delay=0.0)
        for call in batch.calls if batch is not None else ():
            try:
                self.chain.take(call)
            except Reverted:
                return

    def move(self, letters: Any, to: dict[str, Letter]) -> None:
        for letter in letters:
            self.mailbox.pop(letter.id, None)
            to[letter.id] = letter


_SLOTS = {
    "update-commitment": Slot.UPDATE,
    "ballot-commitment": Slot.BALLOT,
    "model-attestation": Slot.ATTESTATION,
}
_PHASES = {
    "update-commitment": Phase.COMMIT,
    "update-reveal": Phase.REVEAL,
    "ballot-commitment": Phase.BALLOT_COMMIT,
    "ballot-reveal": Phase.BALLOT_REVEAL,
    "model-attestation": Phase.ATTEST,
}


def _place(letter: Letter) -> tuple[int, Phase]:
    message: Any = letter.message
    return message.round, _PHASES[message.kind]


TestUnreliableWorld = UnreliableWorld.TestCase
TestUnreliableWorld.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
