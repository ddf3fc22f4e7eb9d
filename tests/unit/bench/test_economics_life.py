"""The simulator, on ballots made up here: every wei is somewhere, and what can be known is met."""

from dataclasses import replace

import numpy as np
import pytest

from bench.economics.life import Cast, Life
from bench.economics.market import TOKEN, Market, make_market
from bench.economics.recording import TRAINER_COUNT, Recording, Scene
from bench.economics.strategies import TRAINERS, VALIDATORS
from bench.economics.studies import Study, find_profitable, run_study
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Wei

ROUNDS = 8


def make_recording(cheats: int, cheats_score: int, content: str = "gaussian") -> Recording:
    """All judges give 4000 to the honest."""
    ballots = np.full((ROUNDS, TRAINER_COUNT, TRAINER_COUNT), 4000, np.uint16)
    ballots[:, :, TRAINER_COUNT - cheats :] = cheats_score
    return Recording(Scene(content, cheats, 0, ROUNDS), ballots)


def make_mixed_recording(cheats: int, seed: int) -> Recording:
    scores = np.array([0, 1, 3000, 4000, SCORE_UNAVAILABLE, SCORE_INVALID], np.uint16)
    random = np.random.default_rng(seed)
    shape = (ROUNDS, TRAINER_COUNT, TRAINER_COUNT)
    return Recording(Scene("gaussian", cheats, seed, ROUNDS), random.choice(scores, shape))


def make_small_market() -> Market:
    """Five validators, all of whom sit in every round."""
    return replace(make_market(ROUNDS), validators=5)


@pytest.mark.parametrize("vote", ["favouring", "slighting", "random", "no-attestation", "absent"])
@pytest.mark.parametrize("accuses", [False, True])
def test_every_wei_is_somewhere_after_each_of_hundreds_of_rounds(vote: str, accuses: bool) -> None:
    market = replace(make_market(ROUNDS), accuses_itself=accuses)
    cast = Cast(TRAINERS["gaussian"], 4, VALIDATORS[vote], 15)
    life = Life(market, cast, [make_mixed_recording(4, seed) for seed in (1, 2)], seed=3)
    for _ in range(300):
        life.step()
        assert life.book.compute_imbalance() == 0
    life.run(1)
    assert (life.book.compute_imbalance(), life.book.held, life.book.escrow) == (0, [], 0)
    assert all(account.stake.locked == 0 for account in life.book.accounts)


def test_honest_work_earns_equal_parts_less_dust_and_costs() -> None:
    market = make_market(ROUNDS)
    life = Life(market, Cast(), [make_recording(0, 0)], seed=0)
    life.run(100)
    part = 75 * TOKEN // TRAINER_COUNT // life.quantum * life.quantum
    for member in life.trainers:
        account = life.book.accounts[member]
        assert account.wallet == 100 * part
        assert account.spent == 100 * (75 * TOKEN // 4 // TRAINER_COUNT)
        assert account.stake.total == market.stake
    seat = 4 * TOKEN // life.quantum * life.quantum
    assert sum(life.book.accounts[m].wallet for m in life.validators) == 500 * seat
    assert life.finalised == 100


def test_idling_earns_nothing_and_costs_nothing() -> None:
    cast = Cast(TRAINERS["idle"], 3)
    life = Life(make_market(ROUNDS), cast, [make_recording(3, 0, "nothing")], seed=0)
    life.run(50)
    idlers = [a for m, a in enumerate(life.book.accounts) if life.is_cheating(m)]
    assert [(a.wallet, a.spent, a.slashed, a.jailed_after) for a in idlers] == [(0, 0, 0, None)] * 3


@pytest.mark.parametrize(
    ("name", "score", "slash", "rounds"),
    [("withholds-reveal", 0, 1, 51), ("invalid", SCORE_INVALID, 5, 11)],
)
def test_a_fault_in_every_round_ruins_when_the_margin_is_gone(
    name: str, score: int, slash: int, rounds: int
) -> None:
    """150 tokens, 100 are asked for; a slash is 1 or 5 of these 100."""
    life = Life(make_market(ROUNDS), Cast(TRAINERS[name], 3), [make_recording(3, score)], seed=0)
    life.run(100)
    for member in [m for m in life.trainers if life.is_cheating(m)]:
        account = life.book.accounts[member]
        assert account.ruined_after == rounds
        assert account.slashed == rounds * slash * TOKEN
    keeper = 3 * rounds * slash * TOKEN // 10 if name == "withholds-reveal" else 0
    assert life.book.others["keeper"] == keeper


def test_whoever_accuses_itself_saves_the_bounty_and_no_more() -> None:
    market = replace(make_market(ROUNDS), accuses_itself=True)
    life = Life(market, Cast(TRAINERS["withholds-reveal"], 1), [make_recording(1, 0)], seed=0)
    life.run(20)
    offender = life.book.accounts[max(life.trainers)]
    assert (offender.slashed, offender.wallet) == (20 * TOKEN, 2 * TOKEN)


def test_three_missed_seats_in_a_row_jail_and_the_jailed_come_back_after_the_delay() -> None:
    market = make_small_market()
    cast = Cast(validator=VALIDATORS["absent"], cheating_validators=1)
    life = Life(market, cast, [make_recording(0, 0)], seed=0)
    absent = max(life.validators)
    seats = []
    for _ in range(60):
        life.step()
        seats.append(absent in life.active)
    account = life.book.accounts[absent]
    assert account.jailed_after == 3
    away = market.rules.unjail_delay // market.round_seconds
    expected = ([True] * 3 + [False] * (away - 1)) * 3
    assert seats == expected[:60]
    assert account.slashed == sum(seats) * TOKEN


def test_an_update_that_is_judged_ends_a_row_of_missed_duties() -> None:
    """Unavailable in two rounds, rejected in the third: never jailed. In each: jailed at once."""
    recording = make_recording(3, SCORE_UNAVAILABLE)
    recording.ballots[2::3, :, TRAINER_COUNT - 3 :] = 0
    cast = Cast(TRAINERS["unavailable"], 3)
    market = make_market(6)
    lucky = Life(market, cast, [replace(recording, ballots=recording.ballots[:6])], seed=0)
    lucky.run(30)
    assert all(account.jailed_after is None for account in lucky.book.accounts)
    always = Life(market, cast, [make_recording(3, SCORE_UNAVAILABLE)], seed=0)
    always.run(30)
    assert {a.jailed_after for a in always.book.accounts} == {None, 3}


def test_a_third_of_the_seats_without_attestation_fails_rounds_and_is_slashed_for_it() -> None:
    cast = Cast(validator=VALIDATORS["no-attestation"], cheating_validators=2)
    life = Life(make_small_market(), cast, [make_recording(0, 0)], seed=0)
    life.step()
    assert (life.finalised, life.job.failed) == (0, 1)
    assert [life.book.accounts[m].slashed // TOKEN for m in life.validators] == [0, 0, 0, 1, 1]


def test_one_without_attestation_costs_nothing_since_the_others_suffice() -> None:
    cast = Cast(validator=VALIDATORS["no-attestation"], cheating_validators=1)
    life = Life(make_small_market(), cast, [make_recording(0, 0)], seed=0)
    life.run(30)
    assert life.finalised == 30
    assert all(account.slashed == 0 for account in life.book.accounts)


def test_slander_is_overturned_by_an_honest_jury_and_its_committee_pays() -> None:
    cast = Cast(TRAINERS["gaussian"], 3, VALIDATORS["favouring"], 12)
    recording = make_recording(3, 0)
    heard = Life(make_market(ROUNDS), cast, [recording], seed=1)
    unheard = Life(replace(make_market(ROUNDS), has_appeals=False), cast, [recording], seed=1)
    for life in (heard, unheard):
        life.run(60)
    assert heard.appeals > 0
    honest = [m for m in heard.trainers if not heard.is_cheating(m)]
    assert sum(heard.book.accounts[m].slashed for m in honest) < 0  # paid for what they missed
    assert sum(unheard.book.accounts[m].slashed for m in honest) > 0
    assert sum(heard.book.accounts[m].slashed for m in heard.validators) > 0


def test_whoever_cannot_pay_the_stake_any_more_works_no_more() -> None:
    market = replace(make_small_market(), stake=Wei(100 * TOKEN))
    life = Life(market, Cast(TRAINERS["withholds-reveal"], 2), [make_recording(2, 0)], seed=0)
    life.run(10)
    offenders = [a for m, a in enumerate(life.book.accounts) if life.is_cheating(m)]
    assert [(a.ruined_after, a.slashed // TOKEN) for a in offenders] == [(1, 1), (1, 1)]


def test_the_same_seed_gives_the_same_row_and_another_another() -> None:
    cast = Cast(TRAINERS["gaussian"], 3, VALIDATORS["random"], 8)
    study = Study("validators", "", "validator", make_market(ROUNDS), cast)
    recordings = [make_mixed_recording(3, 5)]
    rows = [run_study(study, recordings, rounds=40, lives=2, seed=seed) for seed in (1, 1, 2)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
    assert rows[0]["return_low"] <= rows[0]["return_per_100"] <= rows[0]["return_high"]


def test_a_group_pays_from_the_share_at_which_it_surely_beats_honest_work() -> None:
    def row(strategy: str, share: float, low: float, high: float) -> dict[str, object]:
        its = {"sweep": "shares", "strategy": strategy, "share": share}
        return {**its, "return_low": low, "return_high": high}

    rows = [
        *(row("honest + honest", share, 80.0, 100.0) for share in (0.1, 0.2, 0.3)),
        row("honest + slighting", 0.1, 50.0, 130.0),
        row("honest + slighting", 0.2, 101.0, 130.0),
        row("honest + slighting", 0.3, 150.0, 160.0),
        row("gaussian + praising", 0.3, 0.0, 200.0),
    ]
    found = {each["strategy"]: each["share"] for each in find_profitable(rows)}
    assert found == {"honest + slighting": 0.2, "gaussian + praising": None}
