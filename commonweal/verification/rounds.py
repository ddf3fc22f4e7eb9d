"""A round's links that the chain alone decides: commitments, draw, ballots, tally, split, roots."""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.protocol.commitments import (
    InvalidPacking,
    compute_ballot_commitment,
    compute_update_commitment,
    pack_scores,
    unpack_openings,
    unpack_scores,
    unpack_shares,
)
from commonweal.protocol.committee import compute_seed, draw_committee
from commonweal.protocol.events import RoundSettled
from commonweal.protocol.merkle import (
    compute_settlement_leaf,
    compute_verdict_leaf,
    compute_verdict_root,
)
from commonweal.protocol.rewards import InvalidPayments, split_round, unpack_payments
from commonweal.protocol.types import Digest, FailureReason, JobParameters, Score, Verdict, Wei
from commonweal.protocol.verdicts import BallotLengthWrong, Tally, tally
from commonweal.verification.evidence import Evidence, RoundRecord
from commonweal.verification.report import Report


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the round's own events give: digests of revealed updates and their scores, by member."""

    digests: dict[int, Digest]
    scores: dict[int, Score]

    @property
    def leaves(self) -> list[bytes]:
        return [
            compute_verdict_leaf(member, self.digests[member], score)
            for member, score in self.scores.items()
        ]


@dataclass(frozen=True, slots=True)
class RoundCheck:
    report: Report
    evidence: Evidence
    parameters: JobParameters
    quantum: Wei
    record: RoundRecord

    def run(self, parent: Digest) -> Outcome:
        """Everything of this round that needs no content. `parent`: the last finalised model."""
        record = self.record
        opened = record.opened.parent_model if record.opened else None
        self.report.expect("parent", self._subject(), bytes(parent), opened)
        digests = self._check_reveals()
        self._check_draw()
        ballots = self._check_ballots()
        result = self._check_tally(digests, ballots)
        outcome = Outcome(digests, dict(zip(digests, result.scores, strict=True)))
        if record.failed:
            self._check_failure(outcome)
        elif record.finalised:
            self._check_split(digests, result)
            self._check_result(outcome)
        return outcome

    def _subject(self, **of: int) -> str:
        return ", ".join(
            f"{name} {value}" for name, value in {"round": self.record.round, **of}.items()
        )

    def _check_reveals(self) -> dict[int, Digest]:
        digests: dict[int, Digest] = {}
        for event in self.record.reveals:
            entries = self._open(event.batch)
            try:
                opened = unpack_openings(event.members, event.opened, event.openings)
            except InvalidPacking:
                self.report.require(
                    "batch", self._subject(batch=event.batch), False, "openings missing"
                )
                continue
            members = tuple(member for member, _, _ in opened)
            subject = self._subject(batch=event.batch)
            if self.report.expect("batch", subject, tuple(entries), members):
                digests |= self._check_openings(entries, opened)
        return dict(sorted(digests.items()))

    def _open(self, batch: int) -> dict[int, bytes]:
        return dict(self.record.batches.get(batch, ()))

    def _check_openings(
        self, entries: dict[int, bytes], opened: list[tuple[int, bytes, bytes | None]]
    ) -> dict[int, Digest]:
        digests = {}
        for member, value, salt in opened:
            commitment = value
            if salt is not None:
                digests[member] = Digest(value)
                commitment = self._seal_update(member, value, salt)
            subject = self._subject(member=member)
            self.report.expect("commitment", subject, entries[member], commitment)
        return digests

    def _seal_update(self, member: int, digest: bytes, salt: bytes) -> bytes:
        evidence = self.evidence
        slot = (evidence.job.job, self.record.round, member)
        return compute_update_commitment(
            evidence.chain_id, evidence.rounds_contract, *slot, digest, salt
        )

    def _check_draw(self) -> None:
        drawn, record = self.record.drawn, self.record
        if drawn is None:
            return
        randao = self.evidence.randaos.get(record.seed_block or 0)
        if not self.report.require("seed", self._subject(), randao is not None, "no seed block"):
            return
        assert randao is not None
        job = self.evidence.job.job
        seed = compute_seed(randao, self.evidence.rounds_contract, job, record.round)
        self.report.expect("seed", self._subject(), seed, drawn.seed)
        committee = draw_committee(record.validators, self.parameters.committee_size, seed)
        self.report.expect("committee", self._subject(), committee, drawn.members)

    def _check_ballots(self) -> dict[int, tuple[Score, ...]]:
        ballots: dict[int, tuple[Score, ...]] = {}
        for seat, ballot, salt in self.record.ballots:
            subject = self._subject(seat=seat)
            if seat >= len(self.record.committee):
                self.report.require("ballot", subject, False, "no such seat")
                continue
            sealed = compute_ballot_commitment(
                self.evidence.chain_id,
                self.evidence.rounds_contract,
                self.evidence.job.job,
                self.record.round,
                self.record.committee[seat],
                ballot,
                salt,
            )
            committed = self.record.ballot_commitments.get(seat)
            self.report.expect("ballot", subject, committed, sealed)
            ballots[seat] = unpack_scores(ballot)
        return ballots

    def _check_tally(
        self, digests: dict[int, Digest], ballots: dict[int, tuple[Score, ...]]
    ) -> Tally:
        tallied = self.record.tallied
        if tallied is None:
            return Tally(tuple(Score(0) for _ in digests), ())
        try:
            result = tally(tuple(digests), self.record.committee, ballots)
        except BallotLengthWrong as error:
            self.report.require("tally", self._subject(), False, error.message)
            return Tally(tuple(Score(0) for _ in digests), ())
        for member, ours, theirs in zip(
            digests, result.scores, unpack_scores(tallied.scores), strict=False
        ):
            self.report.expect("verdict", self._subject(member=member), ours, theirs)
        self.report.expect("tally", self._subject(), pack_scores(result.scores), tallied.scores)
        shares = unpack_shares(tallied.shares)
        self.report.expect("shares", self._subject(), result.shares, shares)
        return result

    def _check_split(self, digests: dict[int, Digest], result: Tally) -> None:
        settled = self.record.settled
        if settled is None or len(result.shares) != len(self.record.committee):
            self.report.require("payments", self._subject(), False, "no settlement of a full tally")
            return
        committee = self.record.committee
        split = split_round(self.parameters, self.quantum, tuple(digests), result, committee)
        try:
            payments = unpack_payments(settled.payments)
        except InvalidPayments as error:
            self.report.require("payments", self._subject(), False, error.message)
            return
        self._compare_payments(dict(split.payments), dict(payments))
        self.report.expect("payments", self._subject(), split.payments, payments)
        self.report.expect("fee", self._subject(), split.fee, settled.fee)
        self.report.expect("spent", self._subject(), split.spent, settled.spent)
        self._check_fee_recipient(settled)

    def _check_fee_recipient(self, settled: RoundSettled) -> None:
        """Anybody's when the job names no coordinator, or when that one was late."""
        coordinator, tallied = self.parameters.coordinator, self.record.tallied
        if int(coordinator, 16) == 0 or tallied is None:
            return
        if settled.ref.timestamp < tallied.ref.timestamp + self.evidence.fee_grace:
            found = settled.fee_recipient
            self.report.expect("fee-recipient", self._subject(), coordinator, found)

    def _compare_payments(self, ours: dict[int, int], theirs: dict[int, int]) -> None:
        for member in sorted(ours.keys() | theirs.keys()):
            units = (ours.get(member, 0), theirs.get(member, 0))
            self.report.expect("payment", self._subject(member=member), *units)

    def _check_result(self, outcome: Outcome) -> None:
        finalised, subject = self.record.finalised, self._subject()
        assert finalised is not None
        seats = self.record.attested.get(finalised.model_digest, set())
        seats = seats & set(range(len(self.record.committee)))
        size = self.parameters.committee_size
        detail = f"{len(seats)} of {size} seats attested {finalised.model_digest.hex()}"
        self.report.require("attestation", subject, 3 * len(seats) > 2 * size, detail)
        root = self._compute_root(outcome, seats) if outcome.scores else b""
        self.report.expect("verdict-root", subject, root, finalised.verdict_root)
        model = bytes(finalised.model_digest)
        ledger = self.evidence.verdict_roots.get(self.record.round)
        self.report.expect("ledger-root", subject, finalised.verdict_root, ledger)
        stored = self.evidence.models.get(self.record.round)
        self.report.expect("ledger-model", subject, model, stored)

    def _compute_root(self, outcome: Outcome, attesters: set[int]) -> bytes:
        finalised, reveals = self.record.finalised, len(outcome.digests)
        assert finalised is not None
        at = finalised.ref.timestamp
        leaf = compute_settlement_leaf(self.record.committee, attesters, at, reveals)
        return compute_verdict_root(outcome.leaves, leaf)

    def _check_failure(self, outcome: Outcome) -> None:
        failed = self.record.failed
        assert failed is not None
        detail = f"said to have failed by {failed.reason.name}, which its events contradict"
        holds = self._explains(failed.reason, outcome)
        self.report.require("failure", self._subject(), holds, detail)
        paid = self.record.settled is not None
        self.report.require("failure-unpaid", self._subject(), not paid, "paid though it failed")

    def _explains(self, reason: FailureReason, outcome: Outcome) -> bool:
        record, size = self.record, self.parameters.committee_size
        verdicts = [Verdict.of(score) for score in outcome.scores.values()]
        most = max((len(seats) for seats in record.attested.values()), default=0)
        return {
            FailureReason.TOO_FEW_COMMITMENTS: record.committed < self.parameters.min_trainers,
            FailureReason.TOO_FEW_REVEALS: len(outcome.digests) < self.parameters.min_trainers,
            FailureReason.COMMITTEE_TOO_SMALL: 3 * len(record.validators) <= 2 * size,
            FailureReason.TOO_FEW_BALLOTS: record.is_abandoned
            or 2 * len({seat for seat, _, _ in record.ballots}) <= size,
            FailureReason.NOTHING_VERIFIED: Verdict.VERIFIED not in verdicts,
            FailureReason.NO_MODEL_AGREED: record.is_abandoned or 3 * most <= 2 * size,
            FailureReason.NOT_DRAWN: record.is_abandoned and record.drawn is None,
            FailureReason.STOPPED: bool(self.evidence.overturned),
        }[reason]
