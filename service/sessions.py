"""Signing in: a challenge, an account's EIP-712 signature over it, and a token for a while.

Challenges and tokens are kept by whoever asked, sealed with a key that follows from the
coordinator's own: strangers fill no table. A nonce is written down once somebody whom the chain
knows has used it, and never works again, at any coordinator of this database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import IntegrityError

from commonweal.errors import InvalidInput
from commonweal.protocol.signing import Domain, hash_sign_in, recover_compact
from commonweal.protocol.types import Address
from service import tables as t

CHALLENGE_SECONDS = 120
SESSION_SECONDS = 3_600
LONGEST_TOKEN = 400


class Unauthorised(InvalidInput):
    """Whoever asks has to say who it is, or did so wrongly."""


class SignInRequired(Unauthorised):
    code = "sign-in-required"


class WrongHost(Unauthorised):
    """Signed for another host: somebody may be passing on what was meant for himself."""

    code = "wrong-host"


class ChallengeUnknown(Unauthorised):
    code = "challenge-unknown"


class ChallengeExpired(Unauthorised):
    code = "challenge-expired"


class SignatureInvalid(Unauthorised):
    code = "signature-invalid"


class NonceUsed(Unauthorised):
    code = "nonce-used"


class SessionUnknown(Unauthorised):
    code = "session-unknown"


class SessionExpired(Unauthorised):
    code = "session-expired"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is signed besides the host, which only the signer can know."""

    nonce: str
    coordinator: Address
    expires_at: int


@dataclass(frozen=True, slots=True)
class SignIn:
    host: str
    account: Address
    nonce: str
    signature: bytes  # compact


@dataclass(frozen=True, slots=True)
class Session:
    token: str
    identity: Address
    seconds: int


class Sessions:
    """Safe to share between threads."""

    def __init__(
        self,
        database: Engine,
        key: bytes,
        coordinator: Address,
        domain: Domain,
        hosts: Collection[str],
        find_identity: Callable[[Address], Address],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`key` is the coordinator's own; `hosts`: the names that it is dialled by."""
        self._database = database
        self._coordinator = coordinator
        self._domain = domain
        self._hosts = frozenset(host.lower() for host in hosts)
        self._find_identity = find_identity
        self._clock = clock
        self._challenges = _make_seal(key, domain, "challenge")
        self._tokens = _make_seal(key, domain, "session")

    def make_challenge(self) -> Challenge:
        expires_at = int(self._clock()) + CHALLENGE_SECONDS
        nonce = self._challenges.dumps([secrets.token_urlsafe(16), expires_at])
        return Challenge(str(nonce), self._coordinator, expires_at)

    def open(self, sign_in: SignIn) -> Session:
        """Raises WrongHost, ChallengeUnknown, ChallengeExpired, SignatureInvalid, NonceUsed, and
        what finding the identity raises."""
        expires_at = self._check(sign_in)
        identity = self._find_identity(sign_in.account)
        self._use(sign_in.nonce, expires_at)
        ends = int(self._clock()) + SESSION_SECONDS
        return Session(str(self._tokens.dumps([identity, ends])), identity, SESSION_SECONDS)

    def read(self, token: str) -> Address:
        """The identity that it was given to. Raises SessionUnknown, SessionExpired."""
        try:
            identity, ends = _unseal(self._tokens, token)
        except BadData as error:
            raise SessionUnknown("this session was not opened here") from error
        if self._clock() >= ends:
            raise SessionExpired(f"the session ended at {ends}", ended_at=ends)
        return Address(identity)

    def _check(self, sign_in: SignIn) -> int:
        """Until when its nonce is good."""
        if sign_in.host.lower() not in self._hosts:
            text = f"{sign_in.host!r} is no name of this coordinator"
            raise WrongHost(text, host=sign_in.host, hosts=sorted(self._hosts))
        try:
            _, expires_at = _unseal(self._challenges, sign_in.nonce)
        except BadData as error:
            raise ChallengeUnknown("this nonce was not given by this coordinator") from error
        if (now := int(self._clock())) >= expires_at:
            text = f"the challenge was good until {expires_at}"
            raise ChallengeExpired(text, expired_at=expires_at, now=now)
        self._check_signature(sign_in, expires_at)
        return int(expires_at)

    def _check_signature(self, sign_in: SignIn, expires_at: int) -> None:
        account = sign_in.account
        digest = hash_sign_in(
            self._domain, sign_in.host, self._coordinator, account, sign_in.nonce, expires_at
        )
        recovered = recover_compact(digest, sign_in.signature)
        if recovered != account:
            text = f"the signature is by {recovered}, not by {account}"
            raise SignatureInvalid(text, recovered=recovered, expected=account)

    def _use(self, nonce: str, expires_at: int) -> None:
        columns = t.used_nonces.c
        row = {"nonce": hashlib.sha256(nonce.encode()).digest(), "expires_at": expires_at}
        try:
            with self._database.begin() as connection:
                gone = delete(t.used_nonces).where(columns.expires_at < int(self._clock()))
                connection.execute(gone)
                connection.execute(insert(t.used_nonces).values(row))
        except IntegrityError as error:
            raise NonceUsed("somebody has signed in with this nonce already") from error


def _make_seal(key: bytes, domain: Domain, purpose: str) -> URLSafeSerializer:
    """Of its own for each purpose and network, and no way back to the key."""
    secret = hmac.digest(key, b"commonweal sessions" + domain.separator, "sha256")
    options = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    return URLSafeSerializer(secret, salt=purpose, signer_kwargs=options)


def _unseal(seal: URLSafeSerializer, text: str) -> Any:
    """Raises BadData."""
    if len(text) > LONGEST_TOKEN:
        raise BadData(f"{len(text)} characters")
    return seal.loads(text)
