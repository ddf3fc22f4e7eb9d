"""Following a scripted chain: what is derived, and that an orphaned block leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import scripted_chain as script
from scripted_chain import OWNERS, ScriptedChain, word
from sqlalchemy import Engine, insert, select

from commonweal.protocol import events as ev
from commonweal.protocol.batches import collect_round
from service import tables as t
from service.chainstore import ChainStore, DatabaseOfAnotherNetwork
from service.indexer import Indexer
from service.repository import Repository

ROUNDS = "0x" + "0a" * 20


def open_store(database: Engine, chain_id: int = 31337) -> ChainStore:
    return ChainStore(database, chain_id, ROUNDS)


def follow(chain: Any, store: ChainStore) -> None:
    indexer = Indexer(chain, store, first_block=0)
    while indexer.step() is not None:
        pass


def dump(database: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every table but what may differ: an event's place in our own sequence, and the rewinds."""
    content = {}
    with database.connect() as connection:
        for table in (t.events, t.checkpoints, t.cursors, *t.DERIVED):
            columns = [c for c in table.c if c.name not in ("id", "rewinds")]
            rows = [tuple(map(repr, row)) for row in connection.execute(select(*columns))]
            content[table.name] = sorted(rows)
    return content


def test_a_job_is_derived_from_its_events(database: Engine) -> None:
    follow(script.whole_job(), open_store(database))
    repository = Repository(database)
    job = repository.fetch_job(1)
    assert (job["state"], job["finalised_rounds"], job["failed_rounds"]) == ("completed", 1, 1)
    spent = 22 * (1000 + 1001 + 1002) + 5
    assert job["escrow"] == 2 * 10**20 - spent - 10**18
    assert job["refunded"] == 10**18
    updates = repository.fetch_updates(1, 1)
    assert [row["score"] for row in updates] == [5, 0, 65_535]
    assert [row["trainer"] for row in updates] == OWNERS[:3]
    earned = [row["earned"] for row in repository.fetch_members(1, None, 10)]
    assert earned == [22 * 1000, 22 * 1001, 22 * 1002]
    assert repository.fetch_round(1, 2)["failure"] == "too-few-reveals"
    assert repository.fetch_round(1, 2)["unrevealed"] == [2]


def test_each_row_says_at_which_block_it_last_changed(database: Engine) -> None:
    chain = script.whole_job()
    follow(chain, open_store(database))
    repository, last = Repository(database), len(chain.blocks) - 1
    assert repository.fetch_job(1)["changed_at"] == last
    assert repository.fetch_jobs(None, None, 10)[0]["changed_at"] == last
    assert [row["changed_at"] for row in repository.fetch_rounds(1, None, 10)] == [7, 10]
    assert [row["changed_at"] for row in repository.fetch_models(1, None, 10)] == [7]
    assert {row["changed_at"] for row in repository.fetch_payments(1, None, 10)} == {7}


def test_money_beyond_any_integer_column_is_kept_to_the_wei(database: Engine) -> None:
    follow(script.whole_job(), open_store(database))
    provider = Repository(database).fetch_provider(OWNERS[2])
    # 10^30 added, 10^18 locked, 10^30 slashed: free stake first, then locked.
    assert (provider["free"], provider["locked"]) == (0, 0)
    assert provider["slashed"] == 10**30


def test_a_slash_on_appeal_waits_and_what_is_returned_is_free_stake(database: Engine) -> None:
    chain, store, repository = script.whole_job(), open_store(database), Repository(database)
    frozen, returned = script.appeal(OWNERS[2], OWNERS[1])
    follow(chain, store)
    assert repository.fetch_due_slashes(9_000) == [1]
    chain.mine(frozen)
    follow(chain, store)
    assert repository.fetch_due_slashes(2**62) == []
    chain.mine(returned)
    follow(chain, store)
    provider, judge = (repository.fetch_provider(owner) for owner in (OWNERS[2], OWNERS[1]))
    assert (provider["free"], provider["slashed"]) == (10**30 + 7, 0)
    assert (judge["free"], judge["slashed"]) == (10**30 - 10**18 - 7, 0)
    assert repository.fetch_due_slashes(2**62) == []


def test_an_upheld_slash_is_due_at_once(database: Engine) -> None:
    chain, store, repository = script.whole_job(), open_store(database), Repository(database)
    chain.mine(script.appeal(OWNERS[2], OWNERS[1])[0])
    chain.mine([lambda ref: ev.SlashUnfrozen(ref, 1)])
    follow(chain, store)
    assert repository.fetch_due_slashes(chain.fetch_head().timestamp) == [1]


def test_following_again_changes_nothing(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    follow(chain, store)
    before = dump(database)
    assert Indexer(chain, store, first_block=0).step() is None
    assert store.store(chain.fetch_events(0, 11), chain.fetch_head()) == []
    assert dump(database) == before


def test_a_log_that_is_told_twice_in_one_answer_counts_once(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    events = chain.fetch_events(0, 11)
    assert store.store([*events[:9], *events], chain.fetch_head()) == events
    assert store.store(events[3:7], chain.fetch_head()) == []
    assert Repository(database).fetch_job(1)["finalised_rounds"] == 1


@pytest.mark.parametrize("ancestor", [0, 3, 6, 9])
def test_a_database_that_saw_an_orphan_equals_one_that_never_did(
    database: Engine, ancestor: int
) -> None:
    orphan, store = script.whole_job(), open_store(database)
    kept = orphan.fork(ancestor)
    for block in script.whole_job().blocks[ancestor + 1 : -1]:
        kept.mine([lambda ref, e=event: _moved(e, ref) for event in block[1]], salt="kept")
    kept.mine([], salt="kept")
    kept.mine([], salt="kept")
    for height in range(1, len(orphan.blocks)):
        follow(orphan.fork(height), store)
    follow(kept, store)
    seen = dump(database)
    with database.begin() as connection:
        for table in (t.events, t.checkpoints, t.cursors, *t.DERIVED):
            connection.execute(table.delete())
    for height in [*range(1, ancestor + 1), len(kept.blocks) - 1]:
        follow(kept.fork(height), store)
    assert seen == dump(database)


def test_a_shorter_chain_takes_its_blocks_back(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    for height in (6, 11):
        follow(chain.fork(height), store)
    follow(chain.fork(6), store)
    assert Repository(database).fetch_job(1)["state"] == "running"
    cursor = store.fetch_cursor()
    assert cursor is not None
    assert (cursor.number, store.fetch_rewinds()) == (6, 1)


def test_a_node_that_lags_for_a_moment_takes_nothing_back(database: Engine) -> None:
    chain, store, now = script.whole_job(), open_store(database), 0.0
    follow(chain, store)
    late = chain.fork(6)
    indexer = Indexer(late, store, first_block=0, patience=5.0, clock=lambda: now)
    assert indexer.step() is None
    now = 4.9
    assert indexer.step() is None
    late.blocks.append(chain.blocks[7])
    now = 5.0  # it is still behind: so it is the chain
    step = indexer.step()
    assert step is not None
    assert step.rewound
    follow(late, store)
    cursor = store.fetch_cursor()
    assert cursor is not None
    assert cursor.number == 7


def test_a_chain_that_shares_no_block_is_indexed_from_its_start(database: Engine) -> None:
    store = open_store(database)
    follow(script.whole_job(), store)
    other = ScriptedChain()
    other.mine(script.register(), salt="other")
    follow(other, store)
    assert Repository(database).fetch_live_jobs() == []
    assert len(Repository(database).fetch_providers(None, 10)) == 3


def test_blocks_that_change_while_they_are_read_are_not_stored(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    follow(chain.fork(6), store)
    before = dump(database)
    moving = chain.fork(8)
    moving.blocks[8] = (moving.blocks[8][0], chain.fork(7).blocks[7][1])
    stranger = ScriptedChain(moving.blocks[:8])
    stranger.mine([], salt="other")
    moving.fetch_block = stranger.fetch_block  # type: ignore[method-assign]
    assert Indexer(moving, store, first_block=0).step() is None
    assert dump(database) == before


def test_mined_messages_of_an_orphaned_block_wait_again(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    for height in (6, 11):
        follow(chain.fork(height), store)
    row = {"kind": "join", "job": 1, "body": {}, "state": "mined", "received_at": 0}
    with database.begin() as connection:
        for block in (6, 7):
            own = {"id": str(block), "slot": str(block), "block_number": block}
            connection.execute(insert(t.messages).values({**row, **own}))
    follow(chain.fork(6), store)
    with database.connect() as connection:
        states = dict(connection.execute(select(t.messages.c.id, t.messages.c.state)).all())
    assert states == {"6": "mined", "7": "accepted"}


def test_event_ids_are_never_given_twice(database: Engine) -> None:
    chain, store = script.whole_job(), open_store(database)
    for height in (10, 11):
        follow(chain.fork(height), store)
    last = Repository(database).fetch_events(1, 0, 1000)[-1].id
    kept = chain.fork(10)
    kept.mine(script.complete(), salt="kept")
    follow(kept, store)
    assert Repository(database).fetch_events(1, 0, 1000)[-1].id > last


def test_records_come_back_from_the_database_as_from_the_chain(database: Engine) -> None:
    chain = script.whole_job()
    follow(chain, open_store(database))
    expected = collect_round(chain.fetch_events(0, 11), 1, 1)
    assert expected.digests[2] == word(202)
    assert Repository(database).fetch_record(1, 1) == expected


def test_rederiving_changes_nothing(database: Engine) -> None:
    store = open_store(database)
    follow(script.whole_job(), store)
    before = dump(database)
    assert store.rederive() == len(script.whole_job().fetch_events(0, 11))
    assert dump(database) == before


def test_a_database_of_another_network_is_refused(database: Engine) -> None:
    follow(script.whole_job(), open_store(database))
    open_store(database).check_network()
    with pytest.raises(DatabaseOfAnotherNetwork):
        open_store(database, chain_id=1).check_network()


def _moved(event: Any, ref: Any) -> Any:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return type(event)(**{**values, "ref": ref})


def test_a_block_without_logs_is_followed_without_asking_for_any(database: Engine) -> None:
    class Counting(ScriptedChain):
        asked = 0

        def fetch_events(self, from_block: int, to_block: int) -> list[ev.ChainEvent]:
            self.asked += 1
            return super().fetch_events(from_block, to_block)

    chain, store = Counting(), open_store(database)
    follow(chain, store)
    before = chain.asked
    chain.mine([])
    block, events = chain.blocks[-1]
    chain.blocks[-1] = (replace(block, has_logs=False), events)
    follow(chain, store)
    cursor = store.fetch_cursor()
    assert cursor is not None
    assert (cursor.number, cursor.hash) == (block.number, block.hash)
    assert chain.asked == before
