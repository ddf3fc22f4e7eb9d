"""Signing in at coordinators with one's own key, by itself, before something is written there.

What is signed names the host that was dialled: a coordinator that asks for a signature in order to
use it elsewhere gets one that only it takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from eth_account.signers.local import LocalAccount
from pydantic import BaseModel, Field, ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from commonweal.adapters.http import request
from commonweal.coordinator_errors import CoordinatorError, CoordinatorUnreachable, build_error
from commonweal.protocol.messages import AddressText
from commonweal.protocol.signing import Domain, hash_sign_in, sign_compact
from commonweal.protocol.types import Address

_SECONDS, _ANSWER_BYTES = 10.0, 16 * 2**10
_ATTEMPTS = 3
_EARLY_SECONDS = 60.0  # before a session ends, another is opened
_NEEDLESS = (404, 405)  # of a gateway that has no sessions


class _Challenge(BaseModel):
    nonce: str = Field(max_length=1_000)
    coordinator: AddressText
    expires_at: int = Field(ge=0, lt=2**64)


class _Session(BaseModel):
    token: str = Field(max_length=1_000, pattern=r"^[!-~]+$")
    seconds: int


@dataclass(frozen=True, slots=True)
class _Pass:
    headers: dict[str, str]
    until: float


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Instead of signing in, for scripts that were given a key."""

    key: str

    def headers(self, _: str) -> dict[str, str]:
        return {"X-API-Key": self.key}

    def forget(self, _: str) -> None:
        """It stays what it is."""


class SignIn:
    """Sessions of one account by base URL. Safe to share between threads."""

    def __init__(
        self,
        account: LocalAccount,
        domain: Domain,
        client: httpx.Client,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`domain`: chain and Rounds contract, of one's own addresses file."""
        self._account = account
        self._domain = domain
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            retry=retry_if_exception(_is_worth_a_retry),
            reraise=True,
        )
        self._passes: dict[str, _Pass] = {}

    def headers(self, base: str) -> dict[str, str]:
        """To send with a request to `base`; empty for a gateway that asks for no sign-in.

        Raises CoordinatorError, CoordinatorUnreachable.
        """
        with self._lock:
            known = self._passes.get(base)
            if known is None or self._clock() >= known.until:
                known = self._passes[base] = self._retrying(self._open, base)
            return known.headers

    def forget(self, base: str) -> None:
        """The session is not taken any more, whatever was said when it was opened."""
        with self._lock:
            self._passes.pop(base, None)

    def _open(self, base: str) -> _Pass:
        asked = self._clock()
        answer = self._post(f"{base}/v1/sessions/challenge", {})
        if answer.status_code in _NEEDLESS:
            return _Pass({}, float("inf"))
        challenge = _read(_Challenge, answer)
        session = _read(_Session, self._post(f"{base}/v1/sessions", self._sign(base, challenge)))
        until = asked + session.seconds - _EARLY_SECONDS
        return _Pass({"Authorization": f"Bearer {session.token}"}, until)

    def _sign(self, base: str, challenge: _Challenge) -> dict[str, str]:
        host, account = httpx.URL(base).netloc.decode(), Address(self._account.address)
        digest = hash_sign_in(
            self._domain,
            host,
            Address(challenge.coordinator),
            account,
            challenge.nonce,
            challenge.expires_at,
        )
        signature = "0x" + sign_compact(bytes(self._account.key), digest).hex()
        return {
            "host": host,
            "account": account,
            "nonce": challenge.nonce,
            "signature": signature,
        }

    def _post(self, url: str, body: dict[str, str]) -> httpx.Response:
        limits: dict[str, Any] = {"seconds": _SECONDS, "most_bytes": _ANSWER_BYTES}
        try:
            return request(self._client, "POST", url, json=body, **limits)
        except httpx.HTTPError as error:
            message = f"{url} does not answer: {error or type(error).__name__}"
            raise CoordinatorUnreachable(message, url=url) from error


def _is_worth_a_retry(error: BaseException) -> bool:
    """From the challenge on: a lost answer may have used its nonce up. Who is slow stays slow."""
    return isinstance(error.__cause__, httpx.NetworkError | httpx.ProtocolError)


T = TypeVar("T", bound=BaseModel)


def _read(kind: type[T], answer: httpx.Response) -> T:
    """Raises CoordinatorError."""
    if not answer.is_success:
        raise build_error(answer)
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        message = "the coordinator's answer is not what signing in asks for"
        raise CoordinatorError(message, code=CoordinatorError.code) from error
