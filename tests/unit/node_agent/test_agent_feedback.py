"""Error feedback: a residual counts once, when its update went into the model, and never twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_samples import DOMAIN, PARAMETERS, SIGNER, make_round, make_view, sign_update

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.learning.encoding import decode_update, encode_with_feedback
from commonweal.learning.training import TrainingResult
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.commitments import pack_scores
from commonweal.protocol.manifests import UpdateManifest, decode_manifest, manifest_cid
from commonweal.protocol.specs import BlockEncoding, DataSpec, JobSpec, LogisticModel
from commonweal.protocol.types import Digest, Phase, Role, Score, Wei
from node_agent.decisions import Join, TrainAndCommit
from node_agent.duties import Duties
from node_agent.errors import JobNotServed, SlotTaken
from node_agent.feedback import Fate, judge_fate
from node_agent.journal import Journal, Residual, Slot

SPEC = JobSpec(
    name="small",
    model=LogisticModel(inputs=20, classes=3),
    encoding=BlockEncoding(kind="int4", block=16),
    data=DataSpec(features=(20,), classes=3),
)
PARENT = initial_weights(SPEC.model, 0)
DELTA = initial_weights(SPEC.model, 7)
MEMBER = 1
TRAP = Digest(b"\xee" * 32)


class Log:
    """What the chain shows: records by round."""

    def __init__(self) -> None:
        self.records: dict[int, RoundRecord] = {}

    def record(self, job: int, round_: int, at: int) -> RoundRecord:
        return self.records.get(round_, RoundRecord(job, round_))


class Given:
    """Spec, model and data that a node has anyway, and a trainer that always learns the same."""

    asked = 0  # trainers, of the latest job to be joined

    def fetch_spec(self, digest: Digest) -> JobSpec:
        return SPEC

    def require_initial(self, digest: Digest) -> None:
        if digest == TRAP:
            raise JobNotServed("a model with a past")

    def fetch_weights(self, digest: Digest, spec: JobSpec) -> Weights:
        return PARENT

    def fetch(self, spec: JobSpec) -> Given:
        return self

    def to_train_on(self, spec: DataSpec) -> None:
        return None

    def require_memory(self, spec: JobSpec, trainers: int) -> None:
        self.asked = trainers


class Same:
    def train(self, *_: object, seed: int) -> TrainingResult:
        return TrainingResult({name: PARENT[name] + DELTA[name] for name in PARENT}, 10, 0.5, 0.75)


class NoSender:
    def submit(self, sending: object) -> None:
        pass


@dataclass
class Node:
    folder: Path
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store = EmbeddedStore(self.folder / "store")
        self.journal = Journal(self.folder / "journal.db", DOMAIN)
        given: Any = Given()
        unused: Any = None
        self.duties = Duties(
            journal=self.journal,
            store=self.store,
            signer=SIGNER,
            sender=NoSender(),
            publisher=unused,
            chain_log=self.log,  # type: ignore[arg-type]
            models=given,
            data=given,
            updates=unused,
            trainer=Same(),
        )

    def restart(self) -> None:
        self.journal.close()
        self.open()

    def train(self, round_: int, model: Digest) -> Weights:
        """What this round's payload decodes to."""
        view = make_view(make_round(Phase.COMMIT, round=round_, parent_model=model))
        self.duties.perform(TrainAndCommit(1, round_, MEMBER, 2000), view, 1000)
        return self.sent(round_)

    def sent(self, round_: int) -> Weights:
        payload = self.manifest(round_).payload
        return decode_update(self.store.get(payload, max_bytes=10_000), SPEC)

    def manifest(self, round_: int) -> UpdateManifest:
        block = self.store.get_block(manifest_cid(self.digest(round_)))
        manifest = decode_manifest(block)
        assert isinstance(manifest, UpdateManifest)
        return manifest

    def digest(self, round_: int) -> Digest:
        entry = self.journal.entry(1, round_, Slot.UPDATE)
        assert entry is not None
        return Digest(entry.content)

    def show(self, round_: int, score: int | None, model: Digest) -> None:
        """The chain shows a round: `score` of this member's update, None if nobody revealed."""
        digests = {} if score is None else {0: MODELS[0], MEMBER: self.digest(round_)}
        scores = b"" if score is None else pack_scores((Score(5), Score(score)))
        self.log.records[round_] = RoundRecord(1, round_, model, digests=digests, scores=scores)


MODELS = [Digest(bytes([n]) * 32) for n in range(10)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.journal.close()


def expected(rounds: int) -> Weights:
    """What the last of so many rounds in a row sends, when each goes into the model."""
    residual: Weights | None = None
    payload = b""
    for _ in range(rounds):
        delta = {name: (PARENT[name] + DELTA[name]) - PARENT[name] for name in PARENT}
        payload, residual = encode_with_feedback(delta, residual, SPEC)
    return decode_update(payload, SPEC)


def same(first: Weights, second: Weights) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_the_encoding_of_these_tests_leaves_something_out() -> None:
    assert not same(expected(1), expected(2))
    assert not same(expected(2), expected(3))


def test_the_manifest_claims_loss_and_accuracy(node: Node) -> None:
    node.train(1, MODELS[1])
    assert node.manifest(1).metrics == {"loss": 0.5, "accuracy": 0.75}


def test_what_an_applied_update_left_out_goes_into_the_next(node: Node) -> None:
    assert same(node.train(1, MODELS[1]), expected(1))
    node.show(1, 1000, MODELS[1])
    assert same(node.train(2, MODELS[2]), expected(2))
    node.show(2, 1000, MODELS[2])
    node.restart()
    assert same(node.train(3, MODELS[3]), expected(3))


@pytest.mark.parametrize("score", [None, 0, 65534, 65535])
def test_a_lost_update_leaves_things_as_they_were(node: Node, score: int | None) -> None:
    """Not revealed, rejected, unavailable, invalid: the third round is as the second was."""
    node.train(1, MODELS[1])
    node.show(1, 1000, MODELS[1])
    node.train(2, MODELS[2])
    node.show(2, score, MODELS[2])
    node.restart()
    assert same(node.train(3, MODELS[3]), expected(2))


def test_a_failed_round_leaves_things_as_they_were(node: Node) -> None:
    node.train(1, MODELS[1])
    node.show(1, 1000, MODELS[1])
    node.train(2, MODELS[2])
    node.show(2, 1000, MODELS[2])
    assert same(node.train(3, MODELS[2]), expected(2))  # from the same model again
    node.show(3, 1000, MODELS[2])
    assert same(node.train(4, MODELS[4]), expected(3))


def test_a_round_whose_end_is_not_known_ends_the_row(node: Node) -> None:
    node.train(1, MODELS[1])
    node.show(1, 1000, MODELS[1])
    node.train(2, MODELS[2])
    assert same(node.train(5, MODELS[5]), expected(1))
    assert node.journal.residual_rounds(1) == (5,)


def test_the_first_update_may_be_lost(node: Node) -> None:
    node.train(1, MODELS[1])
    node.show(1, 0, MODELS[1])
    assert same(node.train(2, MODELS[2]), expected(1))


def test_at_most_two_residuals_are_kept(node: Node) -> None:
    for round_ in range(1, 6):
        node.train(round_, MODELS[round_])
        node.show(round_, 1000, MODELS[round_])
        assert len(node.journal.residual_rounds(1)) <= 2
    assert node.journal.residual_rounds(1) == (4, 5)


def test_a_crash_between_training_and_commit_applies_nothing_twice(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.train(1, MODELS[1])
    node.show(1, 1000, MODELS[1])

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", crash)
        with pytest.raises(KeyboardInterrupt):
            node.train(2, MODELS[2])
    assert node.journal.entry(1, 2, Slot.UPDATE) is None
    node.restart()
    assert same(node.train(2, MODELS[2]), expected(2))


def test_a_second_commitment_for_the_round_is_refused_and_leaves_the_residual(node: Node) -> None:
    node.train(1, MODELS[1])
    before, digest = node.journal.residual(1, 1), node.digest(1)
    with pytest.raises(SlotTaken):
        node.train(1, MODELS[1])
    assert node.journal.residual(1, 1) == before
    assert node.digest(1) == digest


def test_other_jobs_keep_their_residuals(node: Node) -> None:
    node.journal.record(sign_update(1), residual=Residual(b"one", None))
    other = SIGNER.commit_update(2, 1, MEMBER, Digest(b"\x33" * 32))
    node.journal.record(other, residual=Residual(b"two", None))
    assert (node.journal.residual(1, 1), node.journal.residual(2, 1)) == (b"one", b"two")


RECORD = RoundRecord(
    1,
    3,
    MODELS[3],
    digests={0: MODELS[8], MEMBER: MODELS[9]},
    scores=pack_scores((Score(0), Score(7))),
)


@pytest.mark.parametrize(
    ("changes", "model", "fate"),
    [
        ({}, MODELS[4], Fate.APPLIED),
        ({}, MODELS[3], Fate.LOST),
        ({"digests": {0: MODELS[8]}}, MODELS[4], Fate.LOST),
        ({"digests": {0: MODELS[9], MEMBER: MODELS[8]}}, MODELS[4], Fate.LOST),
        ({"scores": pack_scores((Score(7), Score(0)))}, MODELS[4], Fate.LOST),
        ({"scores": b""}, MODELS[4], Fate.UNKNOWN),
        ({"parent_model": None}, MODELS[4], Fate.UNKNOWN),
    ],
)
def test_fates(changes: dict[str, Any], model: Digest, fate: Fate) -> None:
    assert judge_fate(replace(RECORD, **changes), MEMBER, MODELS[9], model) is fate


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from agent_samples import DOMAIN, sign_update
from node_agent import journal as module
from pathlib import Path
from sqlalchemy import event

journal = module.Journal(Path(sys.argv[1]), DOMAIN)
journal.record(sign_update(1), residual=module.Residual(b"one", None))
journal.record(sign_update(2), residual=module.Residual(b"two", 1))
step, count = int(sys.argv[2]), 0

def die(*_):
    global count
    count += 1
    if count > step:
        os.kill(os.getpid(), signal.SIGKILL)

for name in ("begin", "before_cursor_execute", "after_cursor_execute", "commit"):
    event.listen(journal._engine, name, die)
journal.record(sign_update(3), residual=module.Residual(b"three", 2))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("step", [0, 3, 6, 8, 20])
def test_killed_at_any_step_commitment_and_residual_stand_or_fall_together(
    tmp_path: Path, step: int
) -> None:
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "j.db"), str(step), folder]
    died = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -9, died.stderr
    journal = Journal(tmp_path / "j.db", DOMAIN)
    committed = journal.entry(1, 3, Slot.UPDATE) is not None
    assert journal.residual_rounds(1) == ((2, 3) if committed else (1, 2))
    journal.close()


def test_a_job_that_starts_from_a_model_with_a_past_is_neither_joined_nor_served(
    node: Node,
) -> None:
    parameters = replace(PARAMETERS, initial_model=TRAP)
    view = make_view(make_round(Phase.COMMIT, parent_model=TRAP), parameters=parameters)
    join = Join(1, Role.TRAINER, Wei(50), nonce=0)
    for action in (join, TrainAndCommit(1, 1, MEMBER, 2000)):
        with pytest.raises(JobNotServed):
            node.duties.perform(action, view, 1000)
    assert node.journal.entry(1, 1, Slot.UPDATE) is None
    asked: Any = node.duties.data
    assert asked.asked == PARAMETERS.max_trainers  # for memory, before anything else
