from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol.commitments import unpack_scores, unpack_shares
from commonweal.protocol.rewards import (
    InvalidPayments,
    compute_pools,
    compute_quantum,
    pack_payments,
    split_round,
    unpack_payments,
)
from commonweal.protocol.types import ZERO_DIGEST, Address, Bps, JobParameters, Wei
from commonweal.protocol.verdicts import Tally

TERMS = JobParameters(
    spec_digest=ZERO_DIGEST,
    initial_model=ZERO_DIGEST,
    rounds=1,
    price_per_round=Wei(1),
    validator_share_bps=Bps(0),
    coordinator_share_bps=Bps(0),
    coordinator=Address("0x" + "00" * 20),
    min_trainers=1,
    max_trainers=100,
    committee_size=3,
    min_stake=Wei(1),
    commit_window=1,
    reveal_window=1,
    ballot_commit_window=1,
    ballot_reveal_window=1,
    attest_window=1,
    recruit_until=0,
    max_failed_rounds=0,
    allowlist_root=ZERO_DIGEST,
)
FIELDS = ("validator_share_bps", "coordinator_share_bps", "min_trainers", "committee_size")


@pytest.mark.parametrize("case", load_vectors("split")["cases"], ids=lambda case: case["name"])
def test_splits(case):
    price = Wei(int(case["price_per_round"]))
    terms = replace(TERMS, price_per_round=price, **{name: case[name] for name in FIELDS})
    quantum = compute_quantum(Wei(int(case["escrow"])))
    assert quantum == int(case["quantum"])
    result = Tally(unpack_scores(unhex(case["scores"])), unpack_shares(unhex(case["shares"])))
    split = split_round(terms, quantum, case["revealed"], result, case["committee"])
    assert split.payments == unpack_payments(unhex(case["payments"]))
    assert (split.fee, split.spent) == (int(case["fee"]), int(case["spent"]))


@given(st.data())
def test_a_round_never_spends_more_than_its_price(data):
    validator = data.draw(st.integers(0, 10_000))
    terms = replace(
        TERMS,
        price_per_round=Wei(data.draw(st.integers(0, 2**127))),
        validator_share_bps=Bps(validator),
        coordinator_share_bps=Bps(data.draw(st.integers(0, 10_000 - validator))),
        min_trainers=data.draw(st.integers(1, 5)),
        committee_size=data.draw(st.sampled_from([1, 3, 5, 15])),
    )
    revealed = sorted(data.draw(st.sets(st.integers(0, 30), min_size=1)))
    scores = tuple(data.draw(st.integers(0, 65_535)) for _ in revealed)
    seats = st.lists(st.integers(0, 30), unique=True, max_size=terms.committee_size)
    committee = data.draw(seats)
    shares = tuple(data.draw(st.integers(0, 10_000)) for _ in committee)
    quantum = compute_quantum(Wei(terms.price_per_round * data.draw(st.integers(1, 100))))
    split = split_round(terms, quantum, revealed, Tally(scores, shares), committee)
    assert split.spent <= terms.price_per_round
    assert split.spent == sum(units for _, units in split.payments) * quantum + split.fee
    assert all(0 < units < 2**31 for _, units in split.payments)
    unpaid = {m for m, s in zip(revealed, scores, strict=True) if s in (0, 65_534, 65_535)}
    assert not unpaid.difference(committee).intersection(m for m, _ in split.payments)


def test_pools_add_up_to_the_price():
    terms = replace(TERMS, price_per_round=Wei(101), validator_share_bps=Bps(3333))
    pools = compute_pools(terms)
    assert (pools.trainers, pools.validators, pools.fee) == (68, 33, 0)


def test_a_quantum_keeps_credits_within_31_bits():
    assert compute_quantum(Wei(0)) == 1
    assert compute_quantum(Wei(2**31 - 1)) == 1
    assert compute_quantum(Wei(2**31)) == 2


def test_payments_survive_and_broken_ones_are_refused():
    payments = ((0, 1), (65_535, 2**32 - 1))
    assert unpack_payments(pack_payments(payments)) == payments
    with pytest.raises(InvalidPayments):
        unpack_payments(bytes(7))
