"""What a validator makes of good and bad updates, over real stores and a real gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_samples import ME, OTHERS

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.unixfs import Child, encode_file_node
from commonweal.learning.encoding import InvalidUpdate, encode_update
from commonweal.learning.scoring import Candidate
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.manifests import (
    MAX_MANIFEST_BYTES,
    CapabilitiesManifest,
    Manifest,
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import DataSpec, FloatEncoding, JobSpec, LogisticModel
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Digest, Score
from node_agent import validator
from node_agent.server import ContentServer
from node_agent.validator import RevealedRound, UpdateReader, check_manifest, compute_ballot

SPEC = JobSpec(
    name="small",
    model=LogisticModel(inputs=3, classes=2),
    data=DataSpec(features=(3,), classes=2),
)
BASE = Digest(b"\x02" * 32)
MEMBER = 4
DELTA: Weights = initial_weights(SPEC.model, 1)


@pytest.fixture
def theirs(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "theirs")


@pytest.fixture
def reader(tmp_path: Path, theirs: EmbeddedStore) -> Iterator[UpdateReader]:
    """Reads through HTTP from the trainer's own gateway."""
    server = ContentServer(theirs, "127.0.0.1", 0)
    server.start()
    mine = EmbeddedStore(tmp_path / "mine")
    fetcher = ContentFetcher(mine, lambda: [server.url], attempts=1)
    yield UpdateReader(mine, fetcher)
    fetcher.close()
    server.stop()


def make_manifest(payload: str, **changes: Any) -> UpdateManifest:
    manifest = UpdateManifest(
        payload=payload,
        encoding="fp32",
        base=manifest_cid(BASE),
        job=1,
        round=1,
        trainer=ME,
        samples=10,
    )
    return manifest.model_copy(update=changes)


def publish(store: EmbeddedStore, payload: bytes, **changes: Any) -> Digest:
    block = encode_manifest(make_manifest(store.put(payload), **changes))
    store.put_block(block)
    return compute_digest(block)


def revealed(*digests: Digest) -> RevealedRound:
    members = range(MEMBER, MEMBER + len(digests))
    return RevealedRound(
        1, 1, BASE, dict(zip(members, digests, strict=True)), dict.fromkeys(members, ME)
    )


def read(reader: UpdateReader, *digests: Digest, seconds: float = 5.0) -> list[Candidate]:
    found = reader.read(SPEC, revealed(*digests), until=time.monotonic() + seconds)
    return [found[member] for member in sorted(found)]


def test_a_good_update_is_read_to_the_bit(reader: UpdateReader, theirs: EmbeddedStore) -> None:
    (candidate,) = read(reader, publish(theirs, encode_update(DELTA, SPEC.encoding)))
    assert (candidate.member, candidate.trainer, candidate.fault) == (MEMBER, ME, None)
    assert candidate.delta is not None
    for name, tensor in DELTA.items():
        assert np.array_equal(candidate.delta[name], tensor)


def _payload() -> bytes:
    return encode_update(DELTA, SPEC.encoding)


def _with_value(value: float) -> bytes:
    payload = bytearray(_payload())
    payload[-4:] = np.float32(value).tobytes()
    return bytes(payload)


def _lying_header() -> bytes:
    return _payload().replace(b"[2,3]", b"[9,9]")


def _lying_length() -> bytes:
    return (2**40).to_bytes(8, "little") + _payload()[8:]


PAYLOADS: dict[str, Callable[[], bytes]] = {
    "NaN": lambda: _with_value(np.nan),
    "infinity": lambda: _with_value(-np.inf),
    "another shape": lambda: encode_update(
        initial_weights(LogisticModel(inputs=4, classes=2), 1), SPEC.encoding
    ),
    "another precision": lambda: encode_update(DELTA, FloatEncoding(kind="fp16")),
    "a header that lies about a shape": _lying_header,
    "a header that lies about its length": _lying_length,
    "cut off": lambda: _payload()[:-1],
    "too long": lambda: _payload() + b"\0",
    "empty": lambda: b"",
    "several chunks too large": lambda: bytes(3 * 2**20),
    "pickle": lambda: b"\x80\x04\x95cos\nsystem\n",
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_bad_payload_is_invalid(reader: UpdateReader, theirs: EmbeddedStore, name: str) -> None:
    (candidate,) = read(reader, publish(theirs, PAYLOADS[name]()))
    assert (candidate.fault, candidate.delta) == ("invalid", None)


@pytest.mark.parametrize("cut", [0, 40], ids=["one leaf below a node", "small leaves"])
def test_a_good_payload_that_is_chunked_in_another_way_is_invalid(
    reader: UpdateReader, theirs: EmbeddedStore, cut: int
) -> None:
    """Whoever verifies the job later builds the payload's CID anew, and would call it broken."""
    leaves = [leaf for leaf in (_payload()[:cut], _payload()[cut:]) if leaf]
    for leaf in leaves:
        theirs.put_block(leaf, "raw")
    children = [Child(compute_cid(leaf, "raw"), len(leaf), len(leaf)) for leaf in leaves]
    payload = theirs.put_block(encode_file_node(children), "dag-pb")
    assert theirs.get(payload, max_bytes=len(_payload())) == _payload()
    block = encode_manifest(make_manifest(payload))
    theirs.put_block(block)
    (candidate,) = read(reader, compute_digest(block))
    assert (candidate.fault, candidate.delta) == ("invalid", None)


CLAIMS: dict[str, dict[str, Any]] = {
    "base": {"base": manifest_cid(Digest(b"\x03" * 32))},
    "job": {"job": 2},
    "round": {"round": 2},
    "trainer": {"trainer": OTHERS[0]},
    "encoding": {"encoding": "fp16"},
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_wrong_claim_is_invalid_and_named(
    reader: UpdateReader, theirs: EmbeddedStore, name: str
) -> None:
    (candidate,) = read(reader, publish(theirs, _payload(), **CLAIMS[name]))
    assert candidate.fault == "invalid"
    manifest = make_manifest(theirs.put(_payload()), **CLAIMS[name])
    with pytest.raises(InvalidUpdate) as caught:
        check_manifest(manifest, SPEC, revealed(Digest(b"\x05" * 32)), MEMBER)
    assert caught.value.details["reason"] == name


def test_another_kind_of_manifest_is_invalid(reader: UpdateReader, theirs: EmbeddedStore) -> None:
    block = encode_manifest(CapabilitiesManifest())
    theirs.put_block(block)
    assert read(reader, compute_digest(block))[0].fault == "invalid"


def test_what_is_no_manifest_at_all_is_invalid(reader: UpdateReader, theirs: EmbeddedStore) -> None:
    theirs.put_block(b"\xa1aa")
    assert read(reader, compute_digest(b"\xa1aa"))[0].fault == "invalid"


def test_an_oversized_manifest_is_not_even_read(
    reader: UpdateReader, theirs: EmbeddedStore
) -> None:
    block = bytes(MAX_MANIFEST_BYTES + 1)
    theirs.put_block(block)
    (candidate,) = read(reader, compute_digest(block), seconds=1.0)
    assert (candidate.fault, candidate.delta) == ("unavailable", None)


def test_a_copied_update_names_its_first_trainer(
    reader: UpdateReader, theirs: EmbeddedStore
) -> None:
    digest = publish(theirs, _payload())
    round_ = replace(revealed(digest, digest), trainers={4: ME, 5: OTHERS[0]})
    found = reader.read(SPEC, round_, until=time.monotonic() + 5)
    assert (found[4].fault, found[5].fault) == (None, "invalid")


@pytest.mark.parametrize(
    "other",
    [{"job": 2}, {"round": 2}, {"base": Digest(b"\x03" * 32)}],
    ids=["job", "round", "base"],
)
def test_an_update_is_judged_anew_in_another_place(
    reader: UpdateReader, theirs: EmbeddedStore, other: dict[str, Any]
) -> None:
    here = revealed(publish(theirs, _payload()))
    faults = [
        reader.read(SPEC, round_, until=time.monotonic() + 5)[MEMBER].fault
        for round_ in (here, replace(here, **other), here)
    ]
    assert faults == [None, "invalid", None]


def test_an_update_is_read_once_for_ballot_and_attestation(
    reader: UpdateReader, theirs: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = publish(theirs, _payload())
    first = read(reader, digest)
    monkeypatch.delattr(ContentFetcher, "fetch_manifest")
    assert read(reader, digest) == first


@pytest.mark.parametrize("missing", ["manifest", "payload"])
def test_what_nobody_has_is_unavailable(
    reader: UpdateReader, theirs: EmbeddedStore, tmp_path: Path, missing: str
) -> None:
    elsewhere = EmbeddedStore(tmp_path / "elsewhere")
    digest = publish(elsewhere, _payload())
    if missing == "payload":
        theirs.put_block(elsewhere.get_block(manifest_cid(digest)))
    (candidate,) = read(reader, digest, seconds=0.6)
    assert candidate.fault == "unavailable"


def test_content_that_comes_late_is_still_read(
    reader: UpdateReader, theirs: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = publish(EmbeddedStore(tmp_path / "elsewhere"), _payload())
    pauses: list[float] = []

    def arrive(seconds: float) -> None:
        pauses.append(seconds)
        publish(theirs, _payload())

    monkeypatch.setattr(validator.time, "sleep", arrive)
    (candidate,) = read(reader, digest)
    assert candidate.fault is None
    assert pauses


def test_one_bad_update_does_not_touch_the_others(
    reader: UpdateReader, theirs: EmbeddedStore
) -> None:
    good, bad = publish(theirs, _payload()), publish(theirs, _with_value(np.nan))
    candidates = read(reader, bad, good, Digest(b"\x77" * 32), seconds=0.6)
    assert [candidate.fault for candidate in candidates] == ["invalid", None, "unavailable"]


def test_a_failure_that_nobody_foresaw_costs_one_update_only(
    reader: UpdateReader, theirs: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, odd = publish(theirs, _payload()), publish(theirs, _payload(), samples=11)
    fetch_manifest = ContentFetcher.fetch_manifest

    def fail_at_odd(fetcher: ContentFetcher, digest: Digest) -> Manifest:
        if digest == odd:
            raise RuntimeError("nobody foresaw this")
        return fetch_manifest(fetcher, digest)

    monkeypatch.setattr(ContentFetcher, "fetch_manifest", fail_at_odd)
    candidates = read(reader, odd, good, seconds=0.6)
    assert [candidate.fault for candidate in candidates] == ["unavailable", None]


def test_ballot_holds_faults_in_the_order_of_members(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(*_: Any, **__: Any) -> Any:
        return {1: Score(5), 3: Score(0)}, validator.ScoringMemory()

    monkeypatch.setattr(validator, "score_updates", score)
    monkeypatch.setattr(validator.ScoringMemory, "to_bytes", lambda _: b"after")
    candidates = {
        3: Candidate(3, ME, DELTA),
        0: Candidate(0, ME, None, "unavailable"),
        1: Candidate(1, ME, DELTA),
        2: Candidate(2, ME, None, "invalid"),
    }
    scores, memory = compute_ballot(
        SPEC,
        DELTA,
        candidates,
        None,
        None,
        job=1,
        round_=1,
        member=1,  # type: ignore[arg-type]
    )
    assert scores == (SCORE_UNAVAILABLE, 5, SCORE_INVALID, 0)
    assert memory == b"after"
