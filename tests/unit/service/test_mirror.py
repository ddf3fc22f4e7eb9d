"""What a standby reads while the leader goes on writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripted_chain import NOBODY, ScriptedChain, register
from sqlalchemy import Connection, Engine, Row

from service.chainstore import ChainStore
from service.indexer import Indexer, Step
from service.mirror import Mirror


class Watched(Mirror):
    """Lets the leader write between its queries, once."""

    meanwhile: Callable[[], None] | None = None

    def _read(self, connection: Connection, cursor: Row[Any]) -> tuple[Step, int]:
        found = super()._read(connection, cursor)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found


def follow(chain: ScriptedChain, database: Engine) -> None:
    indexer = Indexer(chain, ChainStore(database, 31_337, NOBODY), first_block=0)
    while indexer.step() is not None:
        pass


def test_events_that_come_while_it_reads_are_not_lost(database: Engine) -> None:
    chain = ScriptedChain()
    follow(chain, database)
    mirror = Watched(database)
    assert mirror.step() is not None
    chain.mine(register())
    follow(chain, database)

    def lead() -> None:
        chain.mine([])
        follow(chain, database)

    mirror.meanwhile = lead
    step = mirror.step()
    assert step is not None
    assert step.indexed.number == 2
    assert len(step.events) == len(register())


def test_a_rewind_is_not_lost_when_a_block_comes_while_it_reads(database: Engine) -> None:
    chain = ScriptedChain()
    chain.mine([])
    follow(chain, database)
    mirror = Watched(database)
    assert mirror.step() is not None
    fork = chain.fork(0)
    for _ in range(2):
        fork.mine([], salt="another")
    follow(fork, database)

    def lead() -> None:
        fork.mine([], salt="another")
        follow(fork, database)

    mirror.meanwhile = lead
    step = mirror.step()
    assert step is not None
    assert step.rewound
    assert step.indexed.number == 3
