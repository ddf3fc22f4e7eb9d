"""The reads behind the web page, over a chain with one final round and one failed one."""

from __future__ import annotations

import numpy as np
import pytest
from scripted_chain import OWNERS, whole_job, word
from sqlalchemy import Engine

from commonweal.protocol.commitments import pack_scores
from service import history as hist
from service.chainstore import ChainStore
from service.history import History, Tally, state_of, tally_scores


@pytest.fixture
def history(database: Engine) -> History:
    chain = whole_job()
    store = ChainStore(database, 1, "0xRounds")
    store.store(chain.fetch_events(0, len(chain.blocks) - 1), chain.fetch_head())
    return History(database)


def test_the_sums_of_the_network(history: History) -> None:
    assert history.count_jobs() == {"completed": 1}
    assert history.count_rounds() == {"finalised": 1, "failed": 1}
    counts = history.count_providers(0)
    assert counts == {"registered": 3, "trainers": 3, "validators": 3, "jailed": 0}


def test_no_wei_is_lost_between_the_columns(history: History) -> None:
    money = history.sum_money()
    assert money["deposited"] == 2 * 10**20
    parts = money["escrow"] + money["refunded"] + money["earned"] + money["fees"]
    assert parts == money["deposited"]
    assert money["earned"] == 22 * (1000 + 1001 + 1002)
    assert (money["fees"], money["claimed"], money["refunded"]) == (5, 22_000, 10**18)


def test_stakes_are_summed_by_where_they_stand(history: History) -> None:
    stakes = history.sum_stakes()
    assert stakes["slashed"] == 10**30
    assert sum(stakes.values()) == 3 * 10**30


def test_rounds_in_columns(history: History) -> None:
    assert [row["state"] for row in history.fetch_rounds(1)] == ["finalised", "failed"]
    assert history.count_committed(1) == {1: 3, 2: 3}
    assert history.count_revealed(1, [2]) == {2: 0}
    assert history.fetch_tallies(1) == {1: Tally(1, 1, 0, 1, 3, 5.0)}
    assert history.fetch_trainers(1) == OWNERS[:3]
    assert history.fetch_trainers(7) == []


def test_the_matrix_tells_how_far_each_update_came(history: History) -> None:
    cells = history.fetch_cells(1, 1, 2)
    expected = [[hist.VERIFIED, hist.REJECTED, hist.INVALID], [hist.UNREVEALED] * 3]
    assert np.array_equal(cells.states, expected)
    assert np.array_equal(cells.scores, [[5, 0, 65_535], [0, 0, 0]])


def test_rounds_that_do_not_exist_are_empty_columns(history: History) -> None:
    assert not history.fetch_cells(1, 40, 41).states.any()


@pytest.mark.parametrize(
    ("has_digest", "score", "phase", "state"),
    [
        (False, None, "commit", hist.COMMITTED),
        (False, None, "reveal", hist.COMMITTED),
        (False, None, "ballot-commit", hist.UNREVEALED),
        (False, None, "none", hist.UNREVEALED),
        (True, None, "ballot-reveal", hist.REVEALED),
        (True, 0, "attest", hist.REJECTED),
        (True, 65_533, "none", hist.VERIFIED),
        (True, 65_534, "none", hist.UNAVAILABLE),
        (True, 65_535, "none", hist.INVALID),
    ],
)
def test_the_state_of_one_update(
    has_digest: bool, score: int | None, phase: str, state: int
) -> None:
    assert state_of(has_digest, score, phase) == state


def test_a_tally_without_a_verified_update_has_no_median() -> None:
    assert tally_scores(pack_scores([0, 65_534])) == Tally(0, 1, 1, 0, 2, None)


def test_the_sample_is_of_verified_updates_of_a_tallied_round(history: History) -> None:
    assert history.fetch_sample(1, 1, [0, 1, 2]) == [word(200)]
    assert history.fetch_sample(1, 1, [1, 2]) == []
    assert history.fetch_sample(1, 2, [0, 1, 2]) == []


def test_the_log_pages_backwards(history: History) -> None:
    whole = history.fetch_log(1, None, None, 100)
    first = history.fetch_log(1, None, None, 4)
    second = history.fetch_log(1, None, first[-1]["id"], 100)
    assert [row["id"] for row in whole] == [row["id"] for row in [*first, *second]]
    names = [row["name"] for row in history.fetch_log(1, 2, None, 100)]
    assert names[-1] == "RoundOpened"
    assert "FaultProven" in names
    assert "JobCreated" not in names


def test_a_transaction_is_found_in_its_block_only(history: History) -> None:
    event = history.fetch_log(1, None, None, 1)[0]
    found = history.fetch_transaction(event["tx_hash"], event["block_number"], 10)
    assert [row["id"] for row in found] == [event["id"]]
    assert history.fetch_transaction(event["tx_hash"], event["block_number"] - 1, 10) == []


def test_changes_follow_the_last_one_seen(history: History) -> None:
    last = history.fetch_last_id()
    assert history.fetch_changes(last, 10) == []
    assert [row["id"] for row in history.fetch_changes(last - 2, 10)] == [last - 1, last]


def test_a_providers_earnings_and_record(history: History) -> None:
    earnings = history.fetch_earnings(OWNERS[0], None, 10)
    assert [(row["job"], row["round"], row["amount"]) for row in earnings] == [(1, 1, 22_000)]
    assert history.fetch_earnings(OWNERS[0], earnings[0]["closed_at"], 10) == []
    record = history.fetch_record(OWNERS[2], 10)
    assert [(row["round"], row["score"], row["state"]) for row in record] == [
        (2, None, "failed"),
        (1, 65_535, "finalised"),
    ]
    assert [row["fault"] for row in history.fetch_faults(OWNERS[2])] == ["unrevealed"]
