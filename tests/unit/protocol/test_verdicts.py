import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol.commitments import unpack_scores, unpack_shares
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Verdict
from commonweal.protocol.verdicts import (
    BallotLengthWrong,
    Tally,
    compute_verdict_score,
    tally,
)

scores = st.one_of(st.integers(0, 65_535), st.sampled_from([0, 65_533, 65_534, 65_535]))


@pytest.mark.parametrize("case", load_vectors("tally")["cases"], ids=lambda case: case["name"])
def test_tallies(case):
    ballots = {
        seat: unpack_scores(unhex(ballot))
        for seat, ballot in zip(case["seats"], case["ballots"], strict=True)
    }
    expected = Tally(unpack_scores(unhex(case["scores"])), unpack_shares(unhex(case["shares"])))
    assert tally(case["revealed"], case["committee"], ballots) == expected


def test_a_ballot_of_the_wrong_length_is_refused():
    with pytest.raises(BallotLengthWrong) as raised:
        tally([1, 2], [7, 8, 9], {1: [3]})
    assert raised.value.details == {"seat": 1, "have": 1, "need": 2}


@given(st.lists(scores, max_size=15))
def test_a_verdict_is_a_score_that_was_given_or_nothing(counted):
    verdict = compute_verdict_score(counted)
    assert verdict == 0 or verdict in counted


@given(st.lists(st.integers(0, 65_533), min_size=1, max_size=7), st.data())
def test_a_minority_cannot_move_a_verdict_out_of_the_honest_range(honest, data):
    lies = data.draw(st.lists(scores, max_size=len(honest) - 1))
    assert min(honest) <= compute_verdict_score(honest + lies) <= max(honest)


@given(st.lists(st.integers(0, 65_533), max_size=7), st.data())
def test_a_minority_cannot_condemn(honest, data):
    lies = data.draw(st.lists(scores, max_size=len(honest)))
    verdict = Verdict.of(compute_verdict_score(honest + lies))
    assert verdict not in (Verdict.INVALID, Verdict.UNAVAILABLE)


@given(st.data())
def test_shares_are_within_bounds_and_honest_unanimity_is_paid_in_full(data):
    revealed = sorted(data.draw(st.sets(st.integers(0, 40), min_size=1, max_size=12)))
    committee = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=15, unique=True))
    row = st.lists(scores, min_size=len(revealed), max_size=len(revealed))
    ballots = data.draw(st.dictionaries(st.integers(0, len(committee) - 1), row))
    result = tally(revealed, committee, ballots)
    assert all(0 <= share <= 10_000 for share in result.shares)
    assert all(share == 0 for seat, share in enumerate(result.shares) if seat not in ballots)
    agreed = {seat: [5] * len(revealed) for seat in range(len(committee))}
    assert set(tally(revealed, committee, agreed).shares) == {10_000}


def test_verdicts_by_score():
    values = (0, 1, 65_533, SCORE_UNAVAILABLE, SCORE_INVALID)
    assert Tally(values, ()).verdicts == (
        Verdict.REJECTED,
        Verdict.VERIFIED,
        Verdict.VERIFIED,
        Verdict.UNAVAILABLE,
        Verdict.INVALID,
    )
