"""Whom the chain knows may sign in."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from sqlalchemy import Engine, insert

from commonweal.protocol.types import Address, Role
from service import tables as t
from service.admission import AccountUnknown, Admission
from service.repository import Repository

OWNER, OPERATOR, REQUESTER, NEWCOMER, STRANGER = (
    Address(Account.create().address) for _ in range(5)
)
LEAST = 100


class Chain:
    """A head with one provider that no row knows yet."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.asked = 0

    def fetch_head(self) -> Any:
        self.asked += 1
        return type("Head", (), {"number": 7})

    def fetch_provider_of_operator(self, account: str, at: int) -> str | None:
        return NEWCOMER if account == "its-operator" else None

    def fetch_provider(self, account: str, at: int) -> Any:
        roles = Role.TRAINER if account == NEWCOMER else Role(0)
        return type("Provider", (), {"roles": roles})

    def fetch_balance(self, account: str, at: int) -> int:
        return self.balances.get(account, 0)


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def admission(database: Engine, chain: Chain) -> Admission:
    provider = dict.fromkeys(t.providers.c.keys(), 0)
    provider |= {"provider": OWNER, "operator": OPERATOR, "endpoint": "", "capabilities": None}
    job = dict.fromkeys(t.jobs.c.keys(), 0)
    job |= {"job": 1, "requester": REQUESTER, "state": "running", "spec_digest": bytes(32)}
    with database.begin() as connection:
        connection.execute(insert(t.providers).values(provider))
        connection.execute(insert(t.jobs).values(job))
    return Admission(chain, Repository(database), LEAST)  # type: ignore[arg-type]


def test_providers_and_requesters_are_known_without_asking_the_chain(
    admission: Admission, chain: Chain
) -> None:
    assert admission.find_identity(OWNER) == OWNER
    assert admission.find_identity(OPERATOR) == OWNER
    assert admission.find_identity(REQUESTER) == REQUESTER
    assert chain.asked == 0


def test_who_came_after_the_latest_indexed_block_is_found_on_chain(admission: Admission) -> None:
    assert admission.find_identity(NEWCOMER) == NEWCOMER
    assert admission.find_identity(Address("its-operator")) == NEWCOMER


def test_others_need_tokens(admission: Admission, chain: Chain) -> None:
    chain.balances[STRANGER] = LEAST - 1
    with pytest.raises(AccountUnknown) as caught:
        admission.find_identity(STRANGER)
    assert (caught.value.details["have"], caught.value.details["need"]) == ("99", "100")
    chain.balances[STRANGER] = LEAST
    assert admission.find_identity(STRANGER) == STRANGER
