"""What a juror makes of an update that a committee called invalid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_samples import DOMAIN, ME

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentNotFound
from commonweal.learning.encoding import encode_update
from commonweal.learning.weights import initial_weights
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.manifests import (
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel
from commonweal.protocol.types import Digest
from node_agent import judging
from node_agent.journal import Journal, Vote
from node_agent.judging import Dossier, Judge
from node_agent.models import ModelLibrary
from node_agent.validator import UpdateReader

SPEC = JobSpec(
    name="small",
    model=LogisticModel(inputs=3, classes=2),
    data=DataSpec(features=(3,), classes=2),
)
BASE = Digest(b"\x02" * 32)
MEMBER = 4
PAYLOAD = encode_update(initial_weights(SPEC.model, 1), SPEC.encoding)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "store")


@pytest.fixture
def judge(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    monkeypatch.setattr(judging, "_FETCH_SECONDS", 0.1)
    fetcher = ContentFetcher(store, list, attempts=1)
    no_chain: Any = None
    yield Judge(no_chain, ModelLibrary(store, fetcher), UpdateReader(store, fetcher))
    fetcher.close()


def publish(store: EmbeddedStore, payload: bytes, round_: int = 1) -> Dossier:
    block = encode_manifest(
        UpdateManifest(
            payload=store.put(payload),
            encoding="fp32",
            base=manifest_cid(BASE),
            job=1,
            round=round_,
            trainer=ME,
            samples=10,
        )
    )
    store.put_block(block)
    return dossier(compute_digest(block))


def dossier(digest: Digest) -> Dossier:
    return Dossier(SPEC, BASE, RoundRecord(1, 1, digests={MEMBER: digest}), {MEMBER: ME})


def test_a_good_update_was_slashed_wrongly(store: EmbeddedStore, judge: Judge) -> None:
    assert judge._is_valid(publish(store, PAYLOAD), MEMBER, is_last_chance=False)


@pytest.mark.parametrize(("payload", "round_"), [(PAYLOAD[:-1], 1), (PAYLOAD, 2)])
def test_a_bad_update_was_slashed_rightly(
    store: EmbeddedStore, judge: Judge, payload: bytes, round_: int
) -> None:
    its = publish(store, payload, round_)
    assert not judge._is_valid(its, MEMBER, is_last_chance=False)


def test_an_update_that_nobody_shows_counts_as_bad_in_the_end(judge: Judge) -> None:
    its = dossier(Digest(b"\x07" * 32))
    with pytest.raises(ContentNotFound):
        judge._is_valid(its, MEMBER, is_last_chance=False)
    assert not judge._is_valid(its, MEMBER, is_last_chance=True)


def test_a_vote_is_given_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", DOMAIN)
    vote = Vote(3, 1, True, b"s" * 16, b"c" * 32, b"g" * 64)
    assert journal.record_vote(vote) == vote
    other = Vote(3, 1, False, b"t" * 16, b"d" * 32, b"h" * 64)
    assert journal.record_vote(other) == vote
    assert journal.vote(3, 1) == vote
    assert journal.vote(3, 2) is None
    journal.close()
