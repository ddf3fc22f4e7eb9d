"""Reading strangers' updates: fetch within bounds, check every claim, score what is left.

What is missing is 65534, what breaks a rule 65535: a source that stalls or lies makes an update
unavailable, never invalid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import structlog

from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import (
    MAX_BLOCK_BYTES,
    ContentCorrupt,
    ContentStore,
    ContentTooLarge,
)
from commonweal.adapters.content.unixfs import file_cid
from commonweal.errors import CommonwealError
from commonweal.learning.data import LocalData
from commonweal.learning.encoding import InvalidUpdate, decode_update, update_size
from commonweal.learning.scoring import Candidate, ScoringMemory, score_updates
from commonweal.learning.weights import Weights
from commonweal.protocol.cids import parse_cid
from commonweal.protocol.manifests import (
    MAX_MANIFEST_BYTES,
    InvalidManifest,
    Manifest,
    UpdateManifest,
    manifest_cid,
)
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Address, Digest, Score
from node_agent.trainer import derive_seed

log = structlog.get_logger(__name__)
_THREADS = 4
_PAUSE = 0.25
_Key = tuple[int, int, Digest, int, Digest]  # job, round, base, member, digest


@dataclass(frozen=True, slots=True)
class RevealedRound:
    """The updates of one round, as the chain names them."""

    job: int
    round: int
    base: Digest
    digests: Mapping[int, Digest]  # by member
    trainers: Mapping[int, Address]  # by member

    def identify(self, member: int) -> _Key:
        """All that decides whether the member's update is valid."""
        return self.job, self.round, self.base, member, self.digests[member]


def check_manifest(
    manifest: Manifest, spec: JobSpec, round_: RevealedRound, member: int
) -> UpdateManifest:
    """Raises InvalidUpdate with `reason` kind, base, job, round, trainer or encoding."""
    if not isinstance(manifest, UpdateManifest):
        raise InvalidUpdate("not an update manifest", reason="kind")
    claims = {
        "base": (manifest.base, manifest_cid(round_.base)),
        "job": (manifest.job, round_.job),
        "round": (manifest.round, round_.round),
        "trainer": (manifest.trainer.lower(), round_.trainers[member].lower()),
        "encoding": (manifest.encoding, spec.encoding.kind),
    }
    for reason, (have, want) in claims.items():
        if have != want:
            raise InvalidUpdate(f"wrong {reason}", reason=reason, have=have, want=want)
    return manifest


class UpdateReader:
    """Fetches and checks updates, several at a time. Keeps the last round's for the attestation."""

    def __init__(
        self,
        store: ContentStore,
        fetcher: ContentFetcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`store`: the fetcher's."""
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._kept: dict[_Key, Candidate] = {}

    def read(self, spec: JobSpec, round_: RevealedRound, *, until: float) -> dict[int, Candidate]:
        """A candidate per revealed member; keeps trying what is missing `until` (clock seconds)."""
        found = {m: c for m in round_.digests if (c := self._kept.get(round_.identify(m)))}
        while missing := round_.digests.keys() - found.keys():
            found |= self._attempt(spec, round_, sorted(missing), until)
            if round_.digests.keys() <= found.keys() or self._clock() + _PAUSE >= until:
                break
            time.sleep(_PAUSE)
        self._kept = {round_.identify(m): c for m, c in found.items()}
        return {m: found.get(m) or _missing(m, round_.trainers[m]) for m in sorted(round_.digests)}

    def _attempt(
        self, spec: JobSpec, round_: RevealedRound, members: list[int], until: float
    ) -> dict[int, Candidate]:
        # Threads that a stalling source holds up are left behind, not waited for.
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="updates")
        together = pool.submit(self._fetch_together, spec, round_, members)
        wait([together], timeout=max(0.0, until - self._clock()))
        futures: dict[Future[Candidate | None], int] = {
            pool.submit(self._read_one, spec, round_, member): member for member in members
        }
        done, _ = wait(futures, timeout=max(0.0, until - self._clock()))
        pool.shutdown(wait=False, cancel_futures=True)
        return {futures[f]: c for f in done if (c := f.result()) is not None}

    def _fetch_together(self, spec: JobSpec, round_: RevealedRound, members: list[int]) -> None:
        cids = [manifest_cid(round_.digests[member]) for member in members]
        self._fetcher.fetch_held_together(cids, max_bytes=_compute_most(spec))

    def _read_one(self, spec: JobSpec, round_: RevealedRound, member: int) -> Candidate | None:
        trainer = round_.trainers[member]
        fields = {"job": round_.job, "round": round_.round, "member": member}
        try:
            return Candidate(member, trainer, self._fetch_delta(spec, round_, member))
        except (ContentCorrupt, InvalidUpdate, InvalidManifest) as error:
            log.info("update invalid", code=error.code, reason=error.message, **fields)
            return Candidate(member, trainer, None, "invalid")
        except CommonwealError as error:
            log.info("update not to be had yet", code=error.code, **fields)
            return None
        except Exception:  # one stranger's update must not cost the others theirs
            log.exception("update cannot be read", **fields)
            return None

    def _fetch_delta(self, spec: JobSpec, round_: RevealedRound, member: int) -> Weights:
        manifest = self._fetcher.fetch_manifest(round_.digests[member])
        update = check_manifest(manifest, spec, round_, member)
        payload = self._fetch_payload(update.payload, spec)
        if (want := file_cid(payload)) != update.payload:
            message = "the payload is not chunked as the protocol says"
            raise InvalidUpdate(message, reason="chunks", have=update.payload, want=want)
        return decode_update(payload, spec)

    def _fetch_payload(self, cid: str, spec: JobSpec) -> bytes:
        """Raises InvalidUpdate only for a size that verified blocks show, not one that is told."""
        limit = min(update_size(spec), spec.limits.max_update_bytes)
        if parse_cid(cid).codec == "raw":
            return self._fetcher.fetch(cid, max_bytes=MAX_BLOCK_BYTES)
        try:
            return self._fetcher.fetch(cid, max_bytes=limit)
        except ContentTooLarge:
            self._require_small(cid, limit)
            raise

    def _require_small(self, cid: str, limit: int) -> None:
        try:
            self._store.get(cid, max_bytes=limit)
        except ContentTooLarge as error:
            raise InvalidUpdate("too large", reason="too-large", limit=limit) from error
        except CommonwealError:
            return


def _compute_most(spec: JobSpec) -> int:
    """Bytes of an update with its manifest."""
    return min(update_size(spec), spec.limits.max_update_bytes) + MAX_MANIFEST_BYTES


def compute_ballot(
    spec: JobSpec,
    parent: Weights,
    candidates: Mapping[int, Candidate],
    local: LocalData,
    memory: ScoringMemory,
    *,
    job: int,
    round_: int,
    member: int,
) -> tuple[tuple[Score, ...], bytes]:
    """One score per revealed update, members ascending, and the memory for the next round."""
    ordered = [candidates[m] for m in sorted(candidates)]
    seed = derive_seed(spec, "score", job, round_, member)
    scores, after = score_updates(spec, parent, ordered, local, memory, seed=seed)
    return tuple(_score(candidate, scores) for candidate in ordered), after.to_bytes()


def _missing(member: int, trainer: Address) -> Candidate:
    return Candidate(member, trainer, None, "unavailable")


def _score(candidate: Candidate, scores: Mapping[int, Score]) -> Score:
    if candidate.fault == "unavailable":
        return SCORE_UNAVAILABLE
    if candidate.fault == "invalid":
        return SCORE_INVALID
    return scores[candidate.member]
