"""A signature opens a session once, for the host, coordinator and network that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from sqlalchemy import Engine, func, select

from commonweal.protocol.signing import Domain, hash_sign_in, sign_compact
from commonweal.protocol.types import Address
from service import sessions as s
from service.admission import AccountUnknown
from service.tables import used_nonces

HOST = "coordinator.example:8750"
COORDINATOR, OTHER, OWNER = (Address(Account.create().address) for _ in range(3))
DOMAIN = Domain(31337, Address(Account.create().address))
ACCOUNT, STRANGER = Account.create(), Account.create()
KEY = b"k" * 32


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def find_identity(account: Address) -> Address:
    if account != ACCOUNT.address:
        raise AccountUnknown("nobody")
    return OWNER


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Engine, clock: Clock) -> s.Sessions:
    return make_sessions(database, clock)


def make_sessions(database: Engine, clock: Clock, **changes: Any) -> s.Sessions:
    values: dict[str, Any] = {
        "key": KEY,
        "coordinator": COORDINATOR,
        "domain": DOMAIN,
        "hosts": [HOST],
        "find_identity": find_identity,
        **changes,
    }
    return s.Sessions(database, clock=clock, **values)


def sign(challenge: s.Challenge, signer: Any = ACCOUNT, **changes: Any) -> s.SignIn:
    """`changes`: what is signed instead of the truth."""
    values: dict[str, Any] = {
        "domain": DOMAIN,
        "host": HOST,
        "coordinator": challenge.coordinator,
        "account": Address(signer.address),
        "nonce": challenge.nonce,
        "expires_at": challenge.expires_at,
        **changes,
    }
    signature = sign_compact(bytes(signer.key), hash_sign_in(**values))
    return s.SignIn(HOST, Address(signer.address), challenge.nonce, signature)


def test_a_session_is_the_providers_and_ends(sessions: s.Sessions, clock: Clock) -> None:
    session = sessions.open(sign(sessions.make_challenge()))
    assert (session.identity, session.seconds) == (OWNER, s.SESSION_SECONDS)
    assert sessions.read(session.token) == OWNER
    clock.now += s.SESSION_SECONDS
    with pytest.raises(s.SessionExpired):
        sessions.read(session.token)


def test_a_nonce_works_once_at_all_coordinators_of_a_database(
    sessions: s.Sessions, database: Engine, clock: Clock
) -> None:
    second = make_sessions(database, clock)
    signed = sign(sessions.make_challenge())
    assert second.read(sessions.open(signed).token) == OWNER
    for coordinator in (sessions, second):
        with pytest.raises(s.NonceUsed):
            coordinator.open(signed)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere.example:8750"},
        {"coordinator": OTHER},
        {"account": Address(STRANGER.address)},
        {"nonce": "another"},
        {"expires_at": 2**40},
        {"domain": replace(DOMAIN, chain_id=1)},
        {"domain": replace(DOMAIN, contract=OTHER)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_was_signed_for_something_else_opens_nothing(
    sessions: s.Sessions, changes: dict[str, Any]
) -> None:
    with pytest.raises(s.SignatureInvalid) as caught:
        sessions.open(sign(sessions.make_challenge(), **changes))
    assert caught.value.details["expected"] == ACCOUNT.address


def test_a_signature_that_another_host_obtained_is_refused(sessions: s.Sessions) -> None:
    signed = sign(sessions.make_challenge(), host="evil.example")
    with pytest.raises(s.WrongHost) as caught:
        sessions.open(replace(signed, host="evil.example"))
    assert caught.value.details["hosts"] == [HOST]


def test_a_challenge_is_good_for_two_minutes_and_only_where_it_was_made(
    sessions: s.Sessions, database: Engine, clock: Clock
) -> None:
    signed = sign(sessions.make_challenge())
    stranger = make_sessions(database, clock, key=b"q" * 32)
    elsewhere = make_sessions(database, clock, domain=replace(DOMAIN, chain_id=1))
    for other in (stranger, elsewhere):
        with pytest.raises(s.ChallengeUnknown):
            other.open(signed)
    clock.now += s.CHALLENGE_SECONDS
    with pytest.raises(s.ChallengeExpired):
        sessions.open(signed)


def test_a_challenge_is_no_token_and_a_token_no_challenge(sessions: s.Sessions) -> None:
    challenge = sessions.make_challenge()
    session = sessions.open(sign(challenge))
    for token in (challenge.nonce, session.token[:-1], session.token[1:], "", "x" * 500, "ü"):
        with pytest.raises(s.SessionUnknown):
            sessions.read(token)
    with pytest.raises(s.ChallengeUnknown):
        sessions.open(sign(replace(challenge, nonce=session.token)))


def test_strangers_leave_nothing_behind(sessions: s.Sessions, database: Engine) -> None:
    for _ in range(3):
        with pytest.raises(AccountUnknown):
            sessions.open(sign(sessions.make_challenge(), STRANGER))
    assert count_nonces(database) == 0


def test_nonces_are_forgotten_when_they_would_be_too_old_anyway(
    sessions: s.Sessions, database: Engine, clock: Clock
) -> None:
    sessions.open(sign(sessions.make_challenge()))
    sessions.open(sign(sessions.make_challenge()))
    assert count_nonces(database) == 2
    clock.now += s.CHALLENGE_SECONDS + 1
    sessions.open(sign(sessions.make_challenge()))
    assert count_nonces(database) == 1


def count_nonces(database: Engine) -> int:
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(used_nonces)) or 0
