"""An honest job verifies; every kind of tampering is found, and the first broken link named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from honest_job import JOB, SPEC, HonestJob, alter, flip, make_honest_job

from commonweal.protocol import events as ev
from commonweal.protocol.batches import opened_entries
from commonweal.protocol.manifests import (
    ModelManifest,
    UpdateManifest,
    decode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import (
    AggregationSpec,
    FloatEncoding,
    JobSpec,
    ServerOptimiserSpec,
)
from commonweal.protocol.types import (
    SCORE_INVALID,
    SCORE_UNAVAILABLE,
    Address,
    Digest,
    FailureReason,
    Wei,
)
from commonweal.verification import Check, Evidence, Report, verify


@pytest.fixture
def job() -> HonestJob:
    return make_honest_job()


def find(evidence: Evidence, kind: type, round_: int):  # type: ignore[no-untyped-def]
    return next(e for e in evidence.events if isinstance(e, kind) and e.round == round_)


def first(report: Report) -> Check:
    assert report.first_broken is not None
    return report.first_broken


def revealed_digest(job: HonestJob, round_: int, member: int) -> bytes:
    return dict(opened_entries(find(job.evidence(), ev.UpdatesRevealed, round_)))[member]


def test_honest_job_verifies_with_every_kind_of_check(job: HonestJob) -> None:
    report = verify(job.evidence(), job.content)
    assert report.ok, str(report.first_broken)
    counts = report.counts()
    assert counts["commitment"] == 12  # 4 members, 3 rounds
    assert counts["ballot"] == 6  # 3 seats, 2 rounds with ballots
    assert counts["update-payload"] == 8  # rejected updates are there, so they are checked too
    assert counts["model-recomputed"] == 2
    assert counts["failure"] == 1
    assert counts["credit"] == 4
    assert report.models == {r: manifest_cid(d) for r, d in job.models.items()}
    assert report.left_out == []


def test_flipped_byte_in_an_update_is_named(job: HonestJob) -> None:
    manifest = decode_manifest(job.content.blocks[revealed_digest(job, 3, 1)])
    assert isinstance(manifest, UpdateManifest)
    job.content.files[manifest.payload] = flip(job.content.files[manifest.payload], -1 % 200)
    report = verify(job.evidence(), job.content)
    assert first(report).name == "update-payload"
    assert first(report).subject == "round 3, member 1"
    assert first(report).expected == manifest.payload
    assert first(report).found != manifest.payload


def test_missing_update_block_is_named(job: HonestJob) -> None:
    del job.content.blocks[revealed_digest(job, 1, 2)]
    check = first(verify(job.evidence(), job.content))
    assert (check.name, check.subject) == ("update-content", "round 1, member 2")
    assert "content-not-found" in check.detail


def test_missing_payload_is_named(job: HonestJob) -> None:
    manifest = decode_manifest(job.content.blocks[revealed_digest(job, 1, 0)])
    assert isinstance(manifest, UpdateManifest)
    del job.content.files[manifest.payload]
    check = first(verify(job.evidence(), job.content))
    assert (check.name, check.subject) == ("update-content", "round 1, member 0")


def test_missing_rejected_update_is_left_out_and_said_so(job: HonestJob) -> None:
    del job.content.blocks[revealed_digest(job, 1, 3)]
    report = verify(job.evidence(), job.content)
    assert report.ok
    assert len(report.left_out) == 1
    assert "round 1, member 3" in report.left_out[0]


def test_another_manifest_under_a_digest_is_named(job: HonestJob) -> None:
    digest = revealed_digest(job, 1, 0)
    job.content.blocks[digest] = job.content.blocks[revealed_digest(job, 1, 1)]
    check = first(verify(job.evidence(), job.content))
    assert (check.name, check.subject) == ("update-manifest", "round 1, member 0")
    assert check.expected == "0x" + digest.hex()


def test_changed_score_in_a_ballot_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    ballots = find(evidence, ev.BallotsRevealed, 3).ballots
    changed = flip(ballots, len(ballots) // 3 + 1)  # three seats
    report = verify(alter(evidence, ev.BallotsRevealed, 3, ballots=changed), job.content)
    assert (first(report).name, first(report).subject) == ("ballot", "round 3, seat 1")


def test_changed_verdict_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    scores = find(evidence, ev.RoundTallied, 1).scores
    report = verify(alter(evidence, ev.RoundTallied, 1, scores=flip(scores, 5)), job.content)
    assert (first(report).name, first(report).subject) == ("verdict", "round 1, member 2")


def test_update_of_another_encoding_than_it_says_is_named(job: HonestJob) -> None:
    evidence, spec = job.evidence(), decode_manifest(job.content.blocks[job.parameters.spec_digest])
    assert isinstance(spec, JobSpec)
    other = spec.model_copy(update={"encoding": FloatEncoding(kind="fp16")})
    digest = job.content.put_manifest(other)
    parameters = replace(job.parameters, spec_digest=digest)
    evidence = alter(evidence, ev.JobCreated, parameters=parameters)
    evidence = replace(evidence, job=replace(evidence.job, parameters=parameters))
    check = first(verify(evidence, job.content))
    assert (check.name, check.subject) == ("update-fields", "round 1, member 0")


def test_wrong_model_is_named(job: HonestJob) -> None:
    """Attested, recorded and served consistently, but not what the updates give."""
    last = 3
    manifest = decode_manifest(job.content.blocks[job.models[last]])
    assert isinstance(manifest, ModelManifest)
    data = job.content.files[manifest.weights]
    forged = manifest.model_copy(update={"weights": job.content.put(flip(data, len(data) - 4))})
    digest = job.content.put_manifest(forged)
    evidence = alter(job.evidence(), ev.RoundFinalised, last, model_digest=digest)
    evidence = alter(evidence, ev.ModelAttested, last, model_digest=digest)
    evidence = replace(evidence, models={**evidence.models, last: digest})
    check = first(verify(evidence, job.content))
    assert (check.name, check.subject) == ("model-recomputed", "round 3")
    assert check.found == "0x" + digest.hex()


@pytest.fixture
def job_with_moments() -> HonestJob:
    optimiser = ServerOptimiserSpec(kind="adam", momentum=0.9)
    aggregation = AggregationSpec(rule="median", bucket_size=2, server_optimiser=optimiser)
    return make_honest_job(spec=SPEC.model_copy(update={"aggregation": aggregation}))


def test_moments_and_buckets_are_recomputed(job_with_moments: HonestJob) -> None:
    report = verify(job_with_moments.evidence(), job_with_moments.content)
    assert report.ok, str(report.first_broken)
    assert report.counts()["model-optimiser"] == 2


def test_moments_that_are_not_what_the_round_gives_are_named(job_with_moments: HonestJob) -> None:
    """The weights are right, but the next round would start from other moments."""
    job, last = job_with_moments, 3
    manifest = decode_manifest(job.content.blocks[job.models[last]])
    assert isinstance(manifest, ModelManifest)
    assert manifest.optimiser is not None
    data = job.content.files[manifest.optimiser]
    wrong = job.content.put(flip(data, len(data) - 4))
    digest = job.content.put_manifest(manifest.model_copy(update={"optimiser": wrong}))
    evidence = alter(job.evidence(), ev.RoundFinalised, last, model_digest=digest)
    evidence = alter(evidence, ev.ModelAttested, last, model_digest=digest)
    evidence = replace(evidence, models={**evidence.models, last: digest})
    check = first(verify(evidence, job.content))
    assert (check.name, check.subject) == ("model-recomputed", "round 3")


def test_missing_or_altered_moments_are_named(job_with_moments: HonestJob) -> None:
    job = job_with_moments
    manifest = decode_manifest(job.content.blocks[job.models[1]])
    assert isinstance(manifest, ModelManifest)
    assert manifest.optimiser is not None
    data = job.content.files[manifest.optimiser]
    job.content.files[manifest.optimiser] = flip(data, len(data) - 4)
    check = first(verify(job.evidence(), job.content))
    assert (check.name, check.subject) == ("model-optimiser", "round 1")
    del job.content.files[manifest.optimiser]
    report = verify(job.evidence(), job.content)
    assert [check.name for check in report.broken()] == ["model-optimiser"]


def test_missing_model_is_named_and_still_recomputed(job: HonestJob) -> None:
    del job.content.blocks[job.models[1]]
    report = verify(job.evidence(), job.content)
    assert (first(report).name, first(report).subject) == ("model-manifest", "round 1")
    assert [check.name for check in report.broken()] == ["model-manifest"]


def test_missing_initial_model_leaves_out_what_follows_from_it(job: HonestJob) -> None:
    del job.content.blocks[job.parameters.initial_model]
    report = verify(job.evidence(), job.content)
    assert (first(report).name, first(report).subject) == ("model-manifest", "initial model")
    assert any("content of round 3" in note for note in report.left_out)


@pytest.mark.parametrize(
    ("score", "name"), [(SCORE_INVALID, "invalid"), (SCORE_UNAVAILABLE, "unavailable")]
)
def test_updates_that_are_not_fetched_are_left_out_and_said_so(score: int, name: str) -> None:
    job = make_honest_job(score)
    for round_ in (1, 3):
        del job.content.blocks[Digest(revealed_digest(job, round_, 3))]
    report = verify(job.evidence(), job.content)
    assert report.ok, str(report.first_broken)
    rounds = (1, 3)
    expected = [f"updates judged {name}, not fetched (round {r}, member 3)" for r in rounds]
    assert report.left_out == expected


def test_too_large_a_model_is_not_touched_and_not_called_verified(job: HonestJob) -> None:
    size = 4 * (4 * 3 + 3)  # 4 inputs, 3 classes
    assert verify(job.evidence(), job.content, max_model_bytes=size).ok
    job.content.files.clear()  # nothing of them is asked for
    report = verify(job.evidence(), job.content, max_model_bytes=size - 1)
    assert [check.name for check in report.broken()] == ["model-size"]
    assert first(report).detail == f"the model has {size} bytes, the limit is {size - 1}"
    assert any("content of round 1" in note for note in report.left_out)


def test_changed_specification_is_named(job: HonestJob) -> None:
    job.content.blocks[job.parameters.spec_digest] = job.content.blocks[job.models[1]]
    assert first(verify(job.evidence(), job.content)).name == "job-spec"


STRANGER = Address("0x" + "11" * 20)

ALTERATIONS = [
    (
        "commitment",
        "round 1, member 0",
        ev.UpdatesRevealed,
        "openings",
        lambda v: flip(v, 0),
    ),
    ("batch", "round 1, batch 0", ev.UpdatesRevealed, "members", lambda v: flip(v, 1)),
    ("batch", "round 1, batch 0", ev.UpdatesRevealed, "openings", lambda v: v[:-1]),
    ("seed", "round 1", ev.CommitteeDrawn, "seed", lambda v: flip(v, 9)),
    ("committee", "round 1", ev.CommitteeDrawn, "members", lambda v: (*v[1:], v[0])),
    ("shares", "round 1", ev.RoundTallied, "shares", lambda v: flip(v, 0)),
    ("payment", "round 1, member 0", ev.RoundSettled, "payments", lambda v: flip(v, 5)),
    ("fee-recipient", "round 1", ev.RoundSettled, "fee_recipient", lambda v: STRANGER),
    ("tally", "round 1", ev.RoundTallied, "scores", lambda v: v + bytes(2)),
    ("fee", "round 1", ev.RoundSettled, "fee", lambda v: Wei(v + 1)),
    ("spent", "round 1", ev.RoundSettled, "spent", lambda v: Wei(v + 1)),
    ("verdict-root", "round 1", ev.RoundFinalised, "verdict_root", lambda v: flip(v, 0)),
    ("attestation", "round 1", ev.ModelAttested, "seats", lambda v: v[:2]),
    ("parent", "round 1", ev.RoundOpened, "parent_model", lambda v: Digest(flip(v, 0))),
    ("parent", "round 3", ev.RoundOpened, "parent_model", lambda v: Digest(flip(v, 0))),
]


@pytest.mark.parametrize(("name", "subject", "kind", "field", "change"), ALTERATIONS)
def test_altered_event_is_named(  # type: ignore[no-untyped-def]
    job: HonestJob, name: str, subject: str, kind: type, field: str, change
) -> None:
    evidence = job.evidence()
    round_ = int(subject.split()[1].rstrip(","))
    value = change(getattr(find(evidence, kind, round_), field))
    check = first(verify(alter(evidence, kind, round_, **{field: value}), job.content))
    assert (check.name, check.subject) == (name, subject)


def test_untrue_reason_of_a_failure_is_named(job: HonestJob) -> None:
    reason = FailureReason.TOO_FEW_COMMITMENTS
    evidence = alter(job.evidence(), ev.RoundFailed, 2, reason=reason)
    check = first(verify(evidence, job.content))
    assert (check.name, check.subject) == ("failure", "round 2")


def test_a_round_is_stopped_by_an_overturned_model_only(job: HonestJob) -> None:
    evidence = alter(job.evidence(), ev.RoundFailed, 2, reason=FailureReason.STOPPED)
    assert first(verify(evidence, job.content)).name == "failure"
    overturned = replace(evidence, overturned=frozenset({1}))
    assert verify(overturned, job.content).ok


def test_missing_wei_in_the_escrow_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    evidence = replace(evidence, job=replace(evidence.job, escrow=Wei(1)))
    check = first(verify(evidence, job.content))
    assert (check.name, check.expected, check.found) == ("escrow-account", "0", "1")


def test_wrong_credit_of_a_member_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    members = list(evidence.members)
    members[2] = replace(members[2], credit=Wei(members[2].credit - 1))
    check = first(verify(replace(evidence, members=tuple(members)), job.content))
    assert (check.name, check.subject) == ("credit", "member 2")


def test_fee_is_anybodys_after_the_grace(job: HonestJob) -> None:
    evidence = replace(job.evidence(), fee_grace=0)
    changed = alter(evidence, ev.RoundSettled, 1, fee_recipient=STRANGER)
    assert verify(changed, job.content).ok


def test_claim_of_more_than_was_earned_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    claim = next(e for e in evidence.events if isinstance(e, ev.RewardClaimed))
    evidence = alter(evidence, ev.RewardClaimed, amount=Wei(claim.amount + 1))
    check = first(verify(evidence, job.content))
    assert (check.name, check.subject) == ("claims", claim.provider)


def test_refund_to_a_stranger_is_named(job: HonestJob) -> None:
    evidence = alter(job.evidence(), ev.EscrowRefunded, requester=STRANGER)
    assert first(verify(evidence, job.content)).name == "refund"


def test_event_told_twice_is_named(job: HonestJob) -> None:
    evidence = job.evidence()
    for at in range(len(evidence.events)):
        twice = evidence.events[: at + 1] + evidence.events[at:]
        assert first(verify(replace(evidence, events=twice), job.content)).name == "event-order"


@pytest.mark.parametrize(
    ("kind", "round_", "changes"),
    [
        (ev.RoundTallied, 1, {"scores": b"\x00"}),
        (ev.RoundTallied, 1, {"shares": b"\x00"}),
        (ev.JobCreated, None, {"quantum": Wei(0)}),
    ],
)
def test_unreadable_event_never_raises(  # type: ignore[no-untyped-def]
    job: HonestJob, kind: type, round_: int | None, changes
) -> None:
    assert not verify(alter(job.evidence(), kind, round_, **changes), job.content).ok


def test_malformed_event_ends_up_in_the_report(job: HonestJob) -> None:
    evidence = alter(job.evidence(), ev.UpdatesCommitted, 1, entries=b"\x00")
    assert first(verify(evidence, job.content)).name == "events"


def test_dropped_events_never_pass(job: HonestJob) -> None:
    """Whatever event a lying node withholds that money or a model rests on, it shows."""
    evidence = job.evidence()
    harmless = (ev.ModelRecorded, ev.JobStateChanged)
    for at, event in enumerate(evidence.events):
        if isinstance(event, harmless) or getattr(event, "round", None) == 2:
            continue
        events = evidence.events[:at] + evidence.events[at + 1 :]
        report = verify(replace(evidence, events=events), job.content)
        assert not report.ok, type(event).__name__


def test_report_as_json(job: HonestJob) -> None:
    del job.content.blocks[revealed_digest(job, 1, 2)]
    report = verify(job.evidence(), job.content).to_json()
    assert report["job"] == JOB
    assert report["ok"] is False
    assert report["first_broken"]["subject"] == "round 1, member 2"
    assert report["checks"] == sum(report["counts"].values())


def test_verification_needs_no_torch() -> None:
    code = "import commonweal.verification, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
