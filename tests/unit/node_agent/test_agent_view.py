"""What a node reads per block, and what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from agent_samples import ME, MEMBERS, OTHERS, make_job, make_round, make_view

from commonweal.adapters.chain import Block
from commonweal.errors import Unavailable
from commonweal.protocol.types import Address, Phase
from node_agent.sources import ContentSources
from node_agent.view import ChainMoved, ViewReader


class Chain:
    """One job, of which this node is a member; counts what is asked for."""

    def __init__(self, phase: Phase = Phase.COMMIT) -> None:
        self.asked: Counter[str] = Counter()
        self.number, self.fork, self.jobs = 10, 0, 1
        self.members = MEMBERS
        self.round = make_round(phase)

    def fetch_head(self) -> Block:
        return self.fetch_block(self.number)

    def fetch_block(self, number: int) -> Block:
        hash_, parent = (bytes([each, self.fork]) * 16 for each in (number, number - 1))
        return Block(number, hash_, parent, 1_000)

    def fetch_head_and(self, number: int) -> tuple[Block, Block]:
        return self.fetch_head(), self.fetch_block(number)

    def fetch_rounds(self, jobs: Sequence[int], at: int) -> list[Any]:
        self.asked["round"] += len(jobs)
        return [replace(self.round, job=job) for job in jobs]

    def fetch_provider_and_job_count(self, provider: Address, at: int) -> Any:
        self.asked["account"] += 1
        return make_view(self.round).account, self.jobs

    def fetch_membership(self, job: int, provider: Address, at: int) -> Any:
        return replace(make_job(), job=job), 1, 0

    def fetch_members(self, job: int, at: int) -> Any:
        return self.members


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_reader(chain: Chain, clock: Clock) -> ViewReader:
    return ViewReader(chain, ME, clock)  # type: ignore[arg-type]


def look(reader: ViewReader) -> Any:
    return reader.fetch(lambda _job: True)


def test_within_a_round_a_block_costs_one_read_of_it() -> None:
    chain, clock = Chain(), Clock()
    reader = make_reader(chain, clock)
    look(reader)
    for _ in range(3):
        chain.number += 1
        look(reader)
    assert chain.asked == {"round": 4, "account": 1}


def test_a_new_job_is_seen_within_a_second() -> None:
    chain, clock = Chain(), Clock()
    reader = make_reader(chain, clock)
    look(reader)
    chain.jobs, chain.number, clock.now = 2, 11, 1.0
    assert [each.job.job for each in look(reader).jobs] == [1, 2]


def test_between_rounds_every_block_is_read_in_full() -> None:
    chain = Chain(Phase.NONE)
    reader = make_reader(chain, Clock())
    look(reader)
    chain.number += 1
    look(reader)
    assert chain.asked["account"] == 2


@pytest.mark.parametrize("number", [9, 10, 11, 14])
def test_another_chain_is_read_in_full(number: int) -> None:
    chain = Chain()
    reader = make_reader(chain, Clock())
    look(reader)
    chain.number, chain.fork = number, 1
    look(reader)
    assert chain.asked["account"] == 2


def test_blocks_that_nobody_saw_are_no_other_chain() -> None:
    chain = Chain()
    reader = make_reader(chain, Clock())
    look(reader)
    chain.number = 14
    look(reader)
    assert chain.asked["account"] == 1


def test_a_chain_that_changes_between_two_reads_is_read_anew() -> None:
    chain = Chain()
    reader = make_reader(chain, Clock())
    chain.members = MEMBERS[:1]  # this node's join is gone, and comes back in another block
    with pytest.raises(ChainMoved):
        look(reader)
    chain.members = MEMBERS
    assert look(reader).jobs[0].member == MEMBERS[1]


class Announcements:
    def __init__(self) -> None:
        self.urls: list[str] = []
        self.asked = 0
        self.away = False

    def announcements(self, at: int) -> Any:
        self.asked += 1
        if self.away:
            raise Unavailable("rpc down")
        pairs = zip(OTHERS, self.urls, strict=False)
        return {provider: SimpleNamespace(endpoint=url) for provider, url in pairs}


def test_sources_are_read_again_after_a_while_and_kept_while_the_chain_is_away() -> None:
    log, clock = Announcements(), Clock()
    sources = ContentSources(["http://c/"], log, ME, lambda: 1, clock)  # type: ignore[arg-type]
    log.urls = ["http://a/"]
    assert list(sources()) == list(sources()) == ["http://c", "http://a"]
    assert log.asked == 1
    log.urls, clock.now = ["http://b", "http://c"], 2.0
    assert list(sources()) == ["http://c", "http://b"]
    log.away, clock.now = True, 4.0
    assert list(sources()) == ["http://c", "http://b"]


def test_an_announced_address_that_cannot_be_dialled_is_passed_over() -> None:
    log = Announcements()
    log.urls = ["http://a..b", "http://b"]
    sources = ContentSources([], log, ME, lambda: 1, Clock())  # type: ignore[arg-type]
    assert list(sources()) == ["http://b"]
