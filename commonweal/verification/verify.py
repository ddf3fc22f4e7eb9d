"""Verification as one pure function of what the chain says and what content is there."""

from __future__ import annotations

from itertools import pairwise

from commonweal.errors import CommonwealError
from commonweal.learning.weights import (
    DEFAULT_MAX_MODEL_BYTES,
    ModelTooLarge,
    require_model_size,
)
from commonweal.protocol.manifests import compute_digest, encode_manifest
from commonweal.protocol.rewards import InvalidPayments, compute_quantum, unpack_payments
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, JobParameters, JobState
from commonweal.verification.content import Content, ContentCheck
from commonweal.verification.evidence import Evidence, JobRecord, gather
from commonweal.verification.report import Report
from commonweal.verification.rounds import RoundCheck


def verify(
    evidence: Evidence, content: Content, *, max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES
) -> Report:
    """Recheck a job from the first round to the last, then its money.

    A model above `max_model_bytes` is not touched: the report then says that it was not checked.
    Bad evidence ends up in the report; it never raises.
    """
    report = Report(evidence.job.job, evidence.block)
    try:
        _check_job(report, evidence, content, max_model_bytes)
    except (CommonwealError, ValueError, ArithmeticError, LookupError) as error:
        report.require("events", f"job {evidence.job.job}", False, f"malformed event: {error}")
    return report


def _check_job(report: Report, evidence: Evidence, content: Content, max_bytes: int) -> None:
    places = [(event.ref.block_number, event.ref.log_index) for event in evidence.events]
    ordered = all(before < after for before, after in pairwise(places))
    subject = f"job {evidence.job.job}"
    report.require("event-order", subject, ordered, "an event twice or out of order")
    record = gather(evidence.events)
    if _check_creation(report, evidence, record):
        checker = _make_checker(report, evidence, record, content, max_bytes)
        _check_rounds(report, evidence, record, checker)
        _check_outcome(report, evidence, record)
        _check_money(report, evidence, record)


def _check_creation(report: Report, evidence: Evidence, record: JobRecord) -> bool:
    subject = f"job {evidence.job.job}"
    created = record.created
    if not report.require("created", subject, created is not None, "no JobCreated event"):
        return False
    assert created is not None
    report.expect("parameters", subject, created.parameters, evidence.job.parameters)
    report.expect("requester", subject, created.requester, evidence.job.requester)
    report.expect("quantum", subject, compute_quantum(created.escrow), created.quantum)
    need = created.parameters.rounds * created.parameters.price_per_round
    report.require("escrow", subject, created.escrow >= need, f"{created.escrow} of {need} wei")
    return True


def _make_checker(
    report: Report, evidence: Evidence, record: JobRecord, content: Content, max_bytes: int
) -> ContentCheck | None:
    """None if there is nothing to check content against, or too much of it."""
    spec = _fetch_spec(report, content, evidence.job.parameters)
    if spec is None:
        return None
    try:
        require_model_size(spec.model, max_bytes)
    except ModelTooLarge as error:
        report.require("model-size", "job", False, error.message)
        return None
    return ContentCheck(report, content, evidence.job.job, record.providers, spec)


def _check_rounds(
    report: Report, evidence: Evidence, record: JobRecord, checker: ContentCheck | None
) -> None:
    created = record.created
    assert created is not None
    parent = created.parameters.initial_model
    model = checker.check_initial_model(parent) if checker else None
    for number in sorted(record.rounds):
        round_ = record.rounds[number]
        check = RoundCheck(report, evidence, created.parameters, created.quantum, round_)
        outcome = check.run(parent)
        if round_.finalised is None:
            continue
        parent = round_.finalised.model_digest
        if checker and model:
            model = checker.check_round(number, outcome, model, parent)
        else:
            _leave_out(report, number)


def _leave_out(report: Report, number: int) -> None:
    report.left_out.append(f"content of round {number}: its parent model could not be established")


def _fetch_spec(report: Report, content: Content, parameters: JobParameters) -> JobSpec | None:
    digest = parameters.spec_digest
    try:
        manifest = content.fetch_manifest(digest)
    except CommonwealError as error:
        report.require("job-spec", "job", False, f"{error.code}: {error.message}")
        return None
    found = bytes(compute_digest(encode_manifest(manifest)))
    if not report.expect("job-spec", "job", bytes(digest), found):
        return None
    if not isinstance(manifest, JobSpec):
        report.require("job-spec", "job", False, "not a job specification")
        return None
    return manifest


def _check_outcome(report: Report, evidence: Evidence, record: JobRecord) -> None:
    subject, parameters = f"job {evidence.job.job}", evidence.job.parameters
    finalised = sum(round_.finalised is not None for round_ in record.rounds.values())
    failed = sum(round_.failed is not None for round_ in record.rounds.values())
    report.expect("rounds-finalised", subject, finalised, evidence.job.finalised_rounds)
    report.expect("rounds-failed", subject, failed, evidence.job.failed_rounds)
    state = evidence.job.state
    if state is JobState.COMPLETED:
        report.expect("job-state", subject, parameters.rounds, finalised)
    elif state is JobState.EXHAUSTED:
        detail = f"{failed} failed rounds do not exhaust {parameters.max_failed_rounds}"
        report.require("job-state", subject, failed > parameters.max_failed_rounds, detail)
    elif not state.is_over:
        report.left_out.append(f"rounds to come: the job is {state.name.lower()}")


def _check_money(report: Report, evidence: Evidence, record: JobRecord) -> None:
    """Escrow deposited = spent + refunded + left, and each member's credit, to the wei."""
    created = record.created
    assert created is not None
    settled = [round_.settled for round_ in record.rounds.values() if round_.settled]
    spent = sum(each.spent for each in settled)
    left = created.escrow - spent - record.refunded
    subject = f"job {evidence.job.job}"
    report.expect("escrow-account", subject, left, evidence.job.escrow)
    report.expect("refund", subject, {created.requester} & record.refunded_to, record.refunded_to)
    earned: dict[int, int] = {}
    for each in settled:
        try:
            for index, units in unpack_payments(each.payments):
                earned[index] = earned.get(index, 0) + units * created.quantum
        except InvalidPayments as error:
            report.require("payments", f"round {each.round}", False, error.message)
    for member in evidence.members:
        claimed = _claimed(evidence, record, member.member, earned)
        credit = earned.get(member.member, 0) - claimed
        report.expect("credit", f"member {member.member}", credit, member.credit)
    _check_claims(report, evidence, record, earned)


def _check_claims(
    report: Report, evidence: Evidence, record: JobRecord, earned: dict[int, int]
) -> None:
    most: dict[Address, int] = {}
    for member in evidence.members:
        joined = record.providers.get(member.member)
        report.expect("member", f"member {member.member}", joined, member.provider)
        most[member.provider] = most.get(member.provider, 0) + earned.get(member.member, 0)
    for provider, claimed in record.claimed.items():
        detail = f"claimed {claimed} wei of {most.get(provider, 0)} earned"
        report.require("claims", provider, claimed <= most.get(provider, 0), detail)


def _claimed(evidence: Evidence, record: JobRecord, member: int, earned: dict[int, int]) -> int:
    """A provider may have been several members: claims empty the earlier ones first."""
    provider = evidence.members[member].provider
    left = record.claimed.get(provider, 0)
    for other in evidence.members[:member]:
        if other.provider == provider:
            left -= min(left, earned.get(other.member, 0))
    return min(left, earned.get(member, 0))
