"""What stays in the coordinator's store when strangers fill it, and what has to go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import scripted_chain as script
from scripted_chain import OWNERS, PARAMETERS, ScriptedChain
from sqlalchemy import Engine

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import StoreFull
from commonweal.protocol import events as ev
from commonweal.protocol.commitments import pack_members
from commonweal.protocol.manifests import (
    ModelManifest,
    UpdateManifest,
    digest_of_cid,
    encode_manifest,
)
from commonweal.protocol.types import Address, Digest, Wei
from service.chainstore import ChainStore
from service.custodian import Custodian
from service.indexer import Indexer
from service.repository import Repository

QUOTA = 64 * 1024


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "content", QUOTA)


def put_unpinned(store: EmbeddedStore, data: bytes) -> str:
    """As an upload leaves it."""
    cid = store.put(data)
    store.unpin(cid)
    return cid


def put_model(store: EmbeddedStore, text: bytes) -> str:
    return store.put_block(encode_manifest(ModelManifest(weights=put_unpinned(store, text))))


def put_update(store: EmbeddedStore, base: str) -> str:
    trainer = Address("0x" + "00" * 20)
    payload = put_unpinned(store, b"the update")
    manifest = UpdateManifest(
        payload=payload, encoding="dense", base=base, job=1, round=1, trainer=trainer, samples=1
    )
    return store.put_block(encode_manifest(manifest))


def flood(store: EmbeddedStore) -> int:
    """Random blocks until the quota is used up; how many fitted."""
    for count in range(10**6):
        try:
            store.put_block(count.to_bytes(4) * 1024, "raw")
        except StoreFull:
            return count
    raise AssertionError("the store has no end")


def chain_naming(spec: str, initial: str, update: str, voted: str) -> ScriptedChain:
    digests = [digest_of_cid(cid) for cid in (spec, initial)]
    parameters = replace(PARAMETERS, spec_digest=digests[0], initial_model=digests[1])
    openings = bytes(digest_of_cid(update)) + script.salt(0)
    steps: list[list[script.Script]] = [
        script.register(),
        [lambda r: ev.JobCreated(r, 1, OWNERS[3], digests[0], Wei(10**20), Wei(22), 1, parameters)],
        script.join(),
        [lambda r: ev.RoundOpened(r, 1, 1, digests[1], 5_000)],
        script.commit(1, [0, 1]),
        [
            lambda r: ev.CommitteeDrawn(r, 1, 1, script.word(9), (0, 1, 2)),
            lambda r: ev.UpdatesRevealed(r, 1, 1, 0, pack_members([0]), 1, openings),
            lambda r: ev.ModelAttested(r, 1, 1, Digest(digest_of_cid(voted)), b"\x01"),
        ],
    ]
    chain = ScriptedChain()
    for scripts in steps:
        chain.mine(scripts)
    return chain


def open_custodian(
    database: Engine, store: EmbeddedStore, chain: ScriptedChain, grace: float = 0.0
) -> Custodian:
    indexer = Indexer(chain, ChainStore(database, 31337, "0x" + "0a" * 20), first_block=0)
    while indexer.step() is not None:
        pass
    return Custodian(store, Repository(database), grace_seconds=grace)


def test_what_the_chain_names_outlives_a_flood(database: Engine, store: EmbeddedStore) -> None:
    spec = store.put_block(b"\xa0")
    initial = put_model(store, b"initial weights")
    update = put_update(store, initial)
    voted = put_model(store, b"voted weights")
    never_named = put_model(store, b"somebody's weights")
    custodian = open_custodian(database, store, chain_naming(spec, initial, update, voted))
    assert not custodian.is_due()
    fitted = flood(store)
    assert custodian.is_due()
    assert custodian.collect() > 4096 * (fitted - 1)
    assert all(store.has(cid) for cid in (spec, initial, update, voted))
    assert not store.has(never_named)
    assert not custodian.is_due()
    assert flood(store) >= fitted


def test_uploads_are_safe_until_the_chain_had_time_to_name_them(
    database: Engine, store: EmbeddedStore
) -> None:
    fresh = put_model(store, b"just uploaded")
    custodian = open_custodian(database, store, ScriptedChain(), grace=3600)
    flood(store)
    assert custodian.collect() == 0
    assert store.has(fresh)


def test_named_content_that_is_not_here_or_not_whole_stops_nothing(
    database: Engine, store: EmbeddedStore, tmp_path: Path
) -> None:
    """An update is named by anybody who commits to it, whatever it links to."""
    elsewhere = EmbeddedStore(tmp_path / "elsewhere")
    model = put_model(elsewhere, b"weights")
    partial = put_update(elsewhere, model)
    store.put_block(elsewhere.get_block(partial))
    whole = put_model(store, b"initial weights")
    chain = chain_naming(store.put_block(b"\xa0"), whole, partial, model)
    custodian = open_custodian(database, store, chain)
    flood(store)
    assert custodian.collect() > 0
    assert store.has(whole)
