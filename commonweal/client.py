"""The requester's SDK: signs a job's offer, hands it to a coordinator, follows the job.

The coordinator is asked, never believed with money: contract addresses and chain id come from the
requester's own addresses file and RPC, so a signature can only ever name the real contracts.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from eth_account.signers.local import LocalAccount
from pydantic import ValidationError
from sqlalchemy import create_engine

from commonweal import answers
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.http import UNDIALLABLE, open_client
from commonweal.adapters.sign_in import ApiKey, SignIn
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.adapters.typed_data import make_permit
from commonweal.coordinator_errors import CoordinatorUnreachable, build_error
from commonweal.errors import Conflict, NotFound, Unavailable
from commonweal.jobcontent import store_job_content
from commonweal.jobfile import JobFile, compute_parameters
from commonweal.learning.weights import (
    DEFAULT_MAX_MODEL_BYTES,
    decode_weights,
    encoded_size,
    require_model_size,
    shapes_of,
)
from commonweal.protocol.events import RoundFinalised
from commonweal.protocol.manifests import (
    ModelManifest,
    manifest_cid,
)
from commonweal.protocol.signing import compute_parameters_hash, hash_job_offer, sign_compact
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Digest, JobParameters, Wei
from commonweal.validation_sets import MAX_VALIDATION_BYTES

A = TypeVar("A", bound=answers.Answer)
OFFER_LIFETIME = 3600  # seconds
RECONNECT_SECONDS = 1.0


class OfferTimeout(Unavailable):
    code = "offer-timeout"


class OfferRefused(Conflict):
    code = "offer-refused"


class AnswerUnreadable(Unavailable):
    """The coordinator is of another version, or none."""

    code = "answer-unreadable"


class NoModelYet(NotFound):
    code = "no-model-yet"


@dataclass(frozen=True, slots=True)
class Offer:
    """A job as offered: everything the requester signs."""

    requester: Address
    parameters: JobParameters
    escrow: Wei
    nonce: int
    deadline: int
    signature: bytes
    permit: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        parameters = asdict(self.parameters)
        for name in ("spec_digest", "initial_model", "allowlist_root"):
            parameters[name] = "0x" + parameters[name].hex()
        return {
            "requester": self.requester,
            "parameters": parameters,
            "escrow": self.escrow,
            "nonce": self.nonce,
            "deadline": self.deadline,
            "signature": "0x" + self.signature.hex(),
            "permit": self.permit,
        }


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of the chain: `data` are its fields, and `timestamp`. `id` is for going on later."""

    id: str | None
    event: str
    data: dict[str, Any]


class Client:
    """One coordinator, seen from outside. Closing it closes its connections."""

    def __init__(self, url: str, *, timeout: float = 30.0, api_key: str | None = None) -> None:
        """With `api_key` nobody signs in: scripts that were given one are counted by it."""
        self.url = url.rstrip("/")
        self._key = None if api_key is None else ApiKey(api_key)
        headers = self._key.headers(self.url) if self._key else {}
        self._http = httpx.Client(timeout=timeout, trust_env=False, headers=headers)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def network(self) -> answers.Network:
        """The chain, and the contracts' addresses as the coordinator has them."""
        return self._get(answers.Network, "/v1/network")

    def jobs(self, state: str | None = None) -> answers.Page[answers.Job]:
        """The latest first; `state`: only those in it."""
        params = {"state": state} if state else {}
        return self._get(answers.Page[answers.Job], "/v1/jobs", params)

    def job(self, job: int) -> answers.Job:
        return self._get(answers.Job, f"/v1/jobs/{job}")

    def members(self, job: int) -> answers.Page[answers.Member]:
        return self._get(answers.Page[answers.Member], f"/v1/jobs/{job}/members")

    def rounds(self, job: int) -> answers.Page[answers.Round]:
        return self._get(answers.Page[answers.Round], f"/v1/jobs/{job}/rounds")

    def updates(self, job: int, round_: int) -> answers.Page[answers.Update]:
        """Of one round, with verdicts once it is tallied and proofs once it is final."""
        return self._get(answers.Page[answers.Update], f"/v1/jobs/{job}/rounds/{round_}/updates")

    def models(self, job: int) -> answers.Page[answers.Model]:
        return self._get(answers.Page[answers.Model], f"/v1/jobs/{job}/models")

    def claims(self, job: int) -> answers.Claims:
        """What trainers say of their own training, round by round; nobody checks it."""
        return self._get(answers.Claims, f"/v1/jobs/{job}/claims")

    def payments(self, job: int) -> answers.Page[answers.Payment]:
        return self._get(answers.Page[answers.Payment], f"/v1/jobs/{job}/payments")

    def providers(self, cursor: str | None = None) -> answers.Page[answers.Provider]:
        """`cursor`: the `next` of the page before."""
        params = {"cursor": cursor} if cursor else {}
        return self._get(answers.Page[answers.Provider], "/v1/providers", params)

    def offer(self, offer_id: str) -> answers.OfferState:
        """What became of a job that was offered."""
        return self._get(answers.OfferState, f"/v1/offers/{offer_id}")

    def submit(
        self,
        job_file: JobFile,
        *,
        reader: ChainReader,
        account: LocalAccount,
        scratch: Path,
        timeout: float = 60.0,
    ) -> int:
        """Push the job's content, offer the job, wait until it stands on chain; its number.

        `scratch` is a folder for the content store; the offer is good for an hour.
        Raises OfferRefused, OfferTimeout, CoordinatorError, CoordinatorUnreachable; and, for a
        validation set named by its CID, ContentNotFound, ContentTooLarge and InvalidData.
        """
        with open_client() as http:
            access = self._key or SignIn(account, reader.deployment.rounds_domain, http)
            store = EmbeddedStore(scratch)
            fetcher = ContentFetcher(store, lambda: [self.url], client=http, authorise=access)
            spec, model = self._push_content(job_file, store, fetcher)
            now = reader.fetch_head().timestamp
            parameters = compute_parameters(job_file.terms, spec=spec, model=model, now=now)
            offer = sign_offer(reader, account, parameters, job_file.escrow, now=now)
            headers = access.headers(self.url)
            answer = self._call("POST", "/v1/jobs", json=offer.to_json(), headers=headers)
        return self._wait_for_job(str(answer["id"]), timeout)

    def watch(self, job: int, *, last_event: str | None = None) -> Iterator[JobEvent]:
        """The job's events as they come, from the first or after `last_event`; reconnects."""
        while True:
            headers = {"Last-Event-ID": last_event} if last_event else {}
            try:
                for event in self._stream(f"/v1/jobs/{job}/events", headers):
                    last_event = event.id or last_event
                    yield event
            except (httpx.RequestError, *UNDIALLABLE):
                self.job(job)  # raises CoordinatorUnreachable when it is gone for good
            time.sleep(RECONNECT_SECONDS)

    def _push_content(
        self, job_file: JobFile, store: EmbeddedStore, fetcher: ContentFetcher
    ) -> tuple[Digest, Digest]:
        named = job_file.spec.data.validation
        if named is not None and job_file.validation is None:
            fetcher.fetch(named, max_bytes=MAX_VALIDATION_BYTES)
        spec_digest, model_digest = store_job_content(job_file, store)
        for digest in (spec_digest, model_digest):
            # Put again if it is there: what lies unnamed for an hour may be collected.
            fetcher.push(manifest_cid(digest), to=self.url, is_new=True)
        return spec_digest, model_digest

    def _wait_for_job(self, offer_id: str, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            state = self.offer(offer_id)
            if state.job is not None:
                return state.job
            if state.state == "refused":
                raise OfferRefused(f"the offer was refused: {state.reason}", offer=offer_id)
            time.sleep(0.1)
        raise OfferTimeout(f"no job after {timeout:g} s", offer=offer_id, seconds=timeout)

    def _stream(self, path: str, headers: dict[str, str]) -> Iterator[JobEvent]:
        with self._http.stream("GET", self.url + path, headers=headers, timeout=None) as response:
            if response.status_code >= 400:
                response.read()
                raise build_error(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                    continue
                if "data" in fields:
                    yield _read_event(fields)
                fields = {}

    def _get(self, kind: type[A], path: str, params: dict[str, str] | None = None) -> A:
        """Fields that this version does not know are left out. Raises AnswerUnreadable."""
        answer = self._call("GET", path, params=params)
        try:
            return kind.model_validate(answer, extra="ignore")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(step) for step in first["loc"])
            message = f"{self.url}{path} answers no {kind.__name__}: {field}: {first['msg']}"
            raise AnswerUnreadable(message, path=path, field=field) from error

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, self.url + path, **options)
        except (httpx.RequestError, *UNDIALLABLE) as error:
            message = f"{self.url} does not answer: {error or type(error).__name__}"
            raise CoordinatorUnreachable(message, url=self.url) from error
        if response.status_code >= 400:
            raise build_error(response)
        try:
            return response.json()
        except ValueError as error:
            message = f"{self.url}{path} answers {response.status_code} without JSON"
            raise AnswerUnreadable(message, path=path, status=response.status_code) from error


def _read_event(fields: dict[str, str]) -> JobEvent:
    try:
        data = json.loads(fields["data"])
    except ValueError as error:
        raise AnswerUnreadable("the coordinator sends an event without JSON") from error
    return JobEvent(fields.get("id"), fields.get("event", "message"), data)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    round: int
    cid: str
    weights: bytes  # safetensors


def fetch_job_model(
    reader: ChainReader,
    fetcher: ContentFetcher,
    job: int,
    round_: int | None = None,
    *,
    max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES,
) -> TrainedModel:
    """The model that the chain recorded for a round (default: the latest one finalised).

    Raises NoModelYet, ModelTooLarge, ContentNotFound.
    """
    head, deployed = reader.fetch_head().number, reader.deployment.deployed_block
    events = reader.fetch_events(deployed, head, job)
    models = {e.round: e.model_digest for e in events if isinstance(e, RoundFinalised)}
    wanted = round_ if round_ is not None else max(models, default=0)
    if wanted not in models:
        which = f"model of round {wanted}" if wanted else "model yet"
        raise NoModelYet(f"job {job} has no {which}", job=job, round=wanted)
    spec = fetcher.fetch_manifest(reader.fetch_job(job, head).parameters.spec_digest)
    if not isinstance(spec, JobSpec):
        raise NoModelYet(f"the specification of job {job} is none", job=job)
    require_model_size(spec.model, max_model_bytes)
    digest = models[wanted]
    return TrainedModel(wanted, manifest_cid(digest), fetch_weights(fetcher, digest, spec))


def cancel_job(reader: ChainReader, account: LocalAccount, job: int) -> str:
    """The requester's own transaction; its hash. Raises ContractReverted."""
    engine = create_engine("sqlite://")
    create_outbox_tables(engine)
    sender = TransactionSender(reader, account, Outbox(engine))
    receipt = sender.send(f"cancel:{job}", "JobBoard", "cancel", job)
    return "0x" + receipt.tx_hash.hex()


def fetch_weights(fetcher: ContentFetcher, digest: Digest, spec: JobSpec) -> bytes:
    """Raises ContentNotFound, InvalidWeights."""
    manifest = fetcher.fetch_manifest(digest)
    if not isinstance(manifest, ModelManifest):
        raise NoModelYet(f"{manifest_cid(digest)} is not a model")
    shapes = shapes_of(spec.model)
    data = fetcher.fetch(manifest.weights, max_bytes=encoded_size(shapes, "F32"))
    decode_weights(data, shapes)
    return data


def sign_offer(
    reader: ChainReader,
    account: LocalAccount,
    parameters: JobParameters,
    escrow: Wei,
    *,
    now: int,
) -> Offer:
    """Signs the offer, and an ERC-2612 permit for exactly the escrow. `now` in chain seconds."""
    deployment = reader.deployment
    requester, deadline = Address(account.address), now + OFFER_LIFETIME
    nonce = secrets.randbits(64)
    digest = hash_job_offer(
        deployment.board_domain,
        requester,
        compute_parameters_hash(parameters),
        escrow,
        nonce,
        deadline,
    )
    return Offer(
        requester=requester,
        parameters=parameters,
        escrow=escrow,
        nonce=nonce,
        deadline=deadline,
        signature=sign_compact(bytes(account.key), digest),
        permit=_sign_permit(reader, account, escrow, deadline),
    )


def _sign_permit(
    reader: ChainReader, account: LocalAccount, value: Wei, deadline: int
) -> dict[str, Any]:
    document = make_permit(reader, Address(account.address), value, deadline)
    signed = account.sign_typed_data(full_message=document)
    return {
        "value": value,
        "deadline": deadline,
        "v": signed.v,
        "r": "0x" + signed.r.to_bytes(32).hex(),
        "s": "0x" + signed.s.to_bytes(32).hex(),
    }
