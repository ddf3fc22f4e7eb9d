"""Whatever a chain takes back and does again: the database equals that of one who never saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import scripted_chain as script
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scripted_chain import ScriptedChain
from sqlalchemy import Engine, select
from test_indexer import dump, follow, open_store

from service import tables as t
from service.chainstore import ChainStore

BLOCKS = script.whole_job().blocks[1:]  # what happens, in order; forks happen between


@dataclass(frozen=True)
class Turn:
    """Take `depth` blocks back, then mine what is next.

    Bit by bit, `gaps` says which blocks are empty, and `looks` after which the indexer looks.
    """

    depth: int
    length: int
    gaps: int
    looks: int


TURNS = st.lists(
    st.builds(
        Turn,
        depth=st.integers(0, 12),
        length=st.integers(1, 6),
        gaps=st.integers(0, 63),
        looks=st.integers(0, 63),
    ),
    min_size=1,
    max_size=6,
)


class ForkingChain:
    """Remembers which of BLOCKS each of its blocks plays, so that a fork goes on where it left."""

    def __init__(self) -> None:
        self.chain = ScriptedChain()
        self._played: list[int] = [0]  # how many of BLOCKS have happened by each block

    def take(self, turn: Turn, number: int, store: ChainStore) -> None:
        height = max(0, len(self._played) - 1 - turn.depth)
        self.chain = self.chain.fork(height)
        del self._played[height + 1 :]
        for place in range(turn.length):
            done = self._played[-1]
            is_empty = bool(turn.gaps >> place & 1) or done == len(BLOCKS)
            events = [] if is_empty else BLOCKS[done][1]
            scripts = [lambda ref, e=event: _moved(e, ref) for event in events]
            self.chain.mine(scripts, salt=f"{number}")
            self._played.append(done if is_empty else done + 1)
            if turn.looks >> place & 1:
                follow(self.chain, store)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(turns=TURNS)
@example(turns=[Turn(0, 6, 0, 0b111111), Turn(3, 3, 1, 0b111)])  # from a block that was looked at
def test_the_database_equals_that_of_an_indexer_that_saw_the_last_branch_only(
    database: Engine, turns: list[Turn]
) -> None:
    store, forking = open_store(database), ForkingChain()
    store.clear()
    for number, turn in enumerate(turns):
        forking.take(turn, number, store)
    follow(forking.chain, store)
    check_checkpoints(database, forking.chain)
    seen = dump_chain(database)
    store.clear()
    follow(forking.chain, store)
    assert dump_chain(database) == seen


def test_reindexing_gives_the_same_bytes_as_following_did(database: Engine) -> None:
    store, forking = open_store(database), ForkingChain()
    for number, depth in enumerate((0, 2, 0, 5, 1)):
        forking.take(Turn(depth, 5, gaps=0b101, looks=0b11111), number, store)
    live = dump_chain(database)
    assert store.rederive() == sum(len(events) for _, events in forking.chain.blocks)
    assert dump_chain(database) == live
    store.clear()
    assert not any(rows for rows in dump_chain(database).values())
    follow(forking.chain, open_store(database))
    assert dump_chain(database) == live


def dump_chain(database: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that comes from the chain; checkpoints are the moments at which one happened to look."""
    content = dump(database)
    del content["checkpoints"]
    return content


def check_checkpoints(database: Engine, chain: ScriptedChain) -> None:
    with database.connect() as connection:
        rows = connection.execute(select(t.checkpoints)).all()
    for row in rows:
        assert bytes(row.block_hash) == chain.fetch_block(row.block_number).hash


def _moved(event: Any, ref: Any) -> Any:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return type(event)(**{**values, "ref": ref})
