"""What a validator learns of the round before, and what the node's log of the chain keeps of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_samples import ME

from commonweal.adapters.chain import Block
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.learning.aggregation import GlobalModel
from commonweal.learning.encoding import encode_update
from commonweal.learning.scoring import ScoringMemory, remembers_round
from commonweal.learning.weights import initial_weights
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.commitments import SALT_BYTES, pack_members, pack_scores
from commonweal.protocol.events import (
    ChainEvent,
    EventRef,
    RoundOpened,
    RoundTallied,
    UpdatesRevealed,
)
from commonweal.protocol.manifests import (
    UpdateManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel
from commonweal.protocol.types import (
    SCORE_INVALID,
    SCORE_UNAVAILABLE,
    ZERO_DIGEST,
    Digest,
    Score,
)
from node_agent.chainlog import ChainLog
from node_agent.lookback import look_back
from node_agent.models import ModelLibrary, VerifiedUpdate
from node_agent.validator import UpdateReader

SPEC = JobSpec(
    name="small",
    model=LogisticModel(inputs=3, classes=2),
    data=DataSpec(features=(3,), classes=2),
)
PARENT = initial_weights(SPEC.model, 0)
MEMBER = 4
REF = EventRef(1, b"\x01" * 32, b"\x02" * 32, 0, 1000)


class Node:
    def __init__(self, folder: Path) -> None:
        self.store = EmbeddedStore(folder)
        self.fetcher = ContentFetcher(self.store, list, attempts=1)
        self.models = ModelLibrary(self.store, self.fetcher)
        self.updates = UpdateReader(self.store, self.fetcher)

    def publish(self, base: Digest) -> Digest:
        payload = encode_update(initial_weights(SPEC.model, 1), SPEC.encoding)
        manifest = UpdateManifest(
            payload=self.store.put(payload),
            encoding="fp32",
            base=manifest_cid(base),
            job=1,
            round=2,
            trainer=ME,
            samples=10,
        )
        block = encode_manifest(manifest)
        self.store.put_block(block)
        return compute_digest(block)

    def look_back(self, memory: ScoringMemory, before: RoundRecord) -> ScoringMemory:
        until = time.monotonic() + 1
        trainers = {MEMBER: ME}
        return look_back(self.models, self.updates, SPEC, memory, before, trainers, until=until)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "store")
    yield node
    node.fetcher.close()


@pytest.fixture
def before(node: Node) -> RoundRecord:
    contributor = VerifiedUpdate(MEMBER, ME, Digest(b"\x03" * 32), 1000)
    base = node.models.store_model(SPEC, GlobalModel(PARENT), ZERO_DIGEST, 1, 1, (contributor,))
    return RoundRecord(1, 2, base, digests={MEMBER: node.publish(base)})


def test_the_updates_of_the_round_before_are_remembered(node: Node, before: RoundRecord) -> None:
    memory = node.look_back(ScoringMemory(), before)
    assert memory.records["member"].tolist() == [MEMBER]
    assert remembers_round(memory, PARENT)


def test_a_remembered_round_is_not_read_again(
    node: Node, before: RoundRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = node.look_back(ScoringMemory(), before)
    monkeypatch.delattr(UpdateReader, "read")
    assert node.look_back(memory, before) is memory


@pytest.mark.parametrize(
    "missing",
    [
        {"parent_model": None},
        {"digests": {}},
        {"parent_model": Digest(b"\x09" * 32)},
        {"digests": {MEMBER: Digest(b"\x08" * 32)}},
    ],
    ids=["first round", "nothing revealed", "no model", "no update"],
)
def test_what_is_not_to_be_had_is_passed_over(
    node: Node, before: RoundRecord, missing: dict[str, Any]
) -> None:
    memory = ScoringMemory()
    assert node.look_back(memory, replace(before, **missing)) is memory


class Chain:
    def __init__(self, events: Sequence[ChainEvent]) -> None:
        self.events = events

    def fetch_blocks_and_events(self, numbers: Sequence[int], start: int, end: int) -> Any:
        blocks = [Block(number, b"\x0a" * 32, b"\x09" * 32, 1000) for number in numbers]
        return blocks, [each for each in self.events if start <= each.ref.block_number <= end]


def test_the_log_keeps_the_latest_nine_rounds_of_a_job() -> None:
    parents = {round_: Digest(bytes([round_]) * 32) for round_ in range(1, 11)}
    events = [
        RoundOpened(replace(REF, block_number=round_), 1, round_, parent, 60)
        for round_, parent in parents.items()
    ]
    chain: Any = Chain(events)
    log = ChainLog(chain, 1)
    kept = [log.record(1, round_, 10).parent_model for round_ in (0, 1, 2, 10, 11)]
    assert kept == [None, None, parents[2], parents[10], None]


def judged(round_: int, scores: dict[int, int]) -> list[ChainEvent]:
    """The events of one round that say who revealed, and what the tally came to."""
    ref = replace(REF, block_number=round_)
    openings = b"".join(bytes([member]) * 32 + bytes(SALT_BYTES) for member in scores)
    opened = 2 ** len(scores) - 1
    members = pack_members(list(scores))
    packed = pack_scores([Score(score) for score in scores.values()])
    return [
        UpdatesRevealed(ref, 1, round_, 0, members, opened, openings),
        RoundTallied(ref, 1, round_, packed, b""),
    ]


def test_who_was_rejected_is_read_off_the_rounds_before() -> None:
    """Paid, rejected and invalid count; what nobody could fetch does not."""
    events = [
        *judged(1, {2: 4000, 5: 0}),
        *judged(2, {2: 0, 5: SCORE_INVALID, 7: SCORE_UNAVAILABLE}),
        *judged(3, {2: 0}),
    ]
    chain: Any = Chain(events)
    log = ChainLog(chain, 1)
    assert log.rejections(1, 3, 3) == {2: [False, True], 5: [True, True]}
    assert log.rejections(1, 1, 3) == log.rejections(2, 3, 3) == {}
