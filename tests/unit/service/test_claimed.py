"""Claims are summed up per round; what is missing or no manifest is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.protocol.manifests import (
    ModelManifest,
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.types import Address, Digest
from service.claimed import Claim, ClaimedMetrics

TRAINER = Address("0x52908400098527886E0F7030069857D2E4169EE7")


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path, 2**20, reserve_bytes=0)


def put_update(store: EmbeddedStore, **metrics: float) -> bytes:
    manifest = UpdateManifest(
        payload=store.put(b"payload"),
        encoding="fp32",
        base=manifest_cid(Digest(bytes(32))),
        job=1,
        round=1,
        trainer=TRAINER,
        samples=1,
        metrics=metrics,
    )
    block = encode_manifest(manifest)
    store.put_block(block)
    return compute_digest(block)


def test_low_median_and_high_of_each_metric(store: EmbeddedStore) -> None:
    digests = [put_update(store, loss=loss) for loss in (0.5, 0.25, 4.0)]
    digests.append(put_update(store, loss=1.0, accuracy=0.9))
    found = ClaimedMetrics(store).summarise(digests)
    assert found == {"loss": Claim(0.25, 0.75, 4.0, 4), "accuracy": Claim(0.9, 0.9, 0.9, 1)}


def test_what_is_not_here_may_come_later(store: EmbeddedStore, tmp_path: Path) -> None:
    other = EmbeddedStore(tmp_path / "other", 2**20, reserve_bytes=0)
    digest = put_update(other, loss=0.5)
    claimed = ClaimedMetrics(store)
    assert claimed.summarise([digest]) == {}
    put_update(store, loss=0.5)
    assert claimed.summarise([digest])["loss"].updates == 1


def test_other_manifests_claim_nothing(store: EmbeddedStore) -> None:
    block = encode_manifest(ModelManifest(weights=store.put(b"weights")))
    store.put_block(block)
    assert ClaimedMetrics(store).summarise([compute_digest(block)]) == {}
