"""What is carried at the coordinator's cost, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_chain import NOBODY, OWNERS, PARAMETERS

from commonweal.protocol.types import Address, Bps
from service.policy import (
    MOST_MEMBERSHIPS,
    RelayPolicy,
    ShareTooLow,
    TooManyMemberships,
    TooManyOffers,
)

US, OTHER = OWNERS[0], OWNERS[1]


@pytest.mark.parametrize(
    ("coordinator", "share", "need", "counted"),
    [
        (US, 100, 100, None),
        (NOBODY, 100, 100, None),  # to whoever finalises
        (OTHER, 0, 0, None),
        (US, 99, 100, 99),
        (OTHER, 5000, 1, 0),
    ],
)
def test_a_job_must_pay_this_coordinator_its_share(
    coordinator: Address, share: int, need: int, counted: int | None
) -> None:
    policy = RelayPolicy(US, min_share_bps=need)
    job = replace(PARAMETERS, coordinator=coordinator, coordinator_share_bps=Bps(share))
    if counted is None:
        policy.check_share(job)
        return
    with pytest.raises(ShareTooLow) as raised:
        policy.check_share(job)
    assert raised.value.code == "coordinator-share-too-low"
    assert (raised.value.details["share"], raised.value.details["need"]) == (counted, need)


def test_a_requester_offers_so_many_jobs_an_hour() -> None:
    policy = RelayPolicy(US, offers_per_hour=3)
    policy.check_offers(OTHER, 2)
    with pytest.raises(TooManyOffers) as raised:
        policy.check_offers(OTHER, 3)
    assert (raised.value.details["count"], raised.value.details["limit"]) == (3, 3)


def test_a_provider_comes_and_goes_a_few_times_only() -> None:
    policy = RelayPolicy(US)
    policy.check_memberships(1, OTHER, MOST_MEMBERSHIPS - 1)
    with pytest.raises(TooManyMemberships) as raised:
        policy.check_memberships(1, OTHER, MOST_MEMBERSHIPS)
    assert raised.value.code == "too-many-memberships"
    assert raised.value.details["limit"] == MOST_MEMBERSHIPS
