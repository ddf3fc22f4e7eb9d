"""What a message must pass before it is accepted: shape was checked by its model, the rest is here.

The chain checks all of it again. Refusing here keeps one bad message from costing a batch its gas.
"""

from __future__ import annotations

from eth_utils.address import to_checksum_address

from commonweal.adapters.chain import ChainReader
from commonweal.errors import Conflict, InvalidInput, NotFound, Unavailable
from commonweal.protocol.commitments import (
    compute_ballot_commitment,
    compute_update_commitment,
    pack_scores,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    LeaveMessage,
    Message,
    ModelAttestationMessage,
    RoundMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.receipts import PHASE_OF
from commonweal.protocol.signing import (
    hash_ballot_commitment,
    hash_job_join,
    hash_job_leave,
    hash_model_attestation,
    hash_update_commitment,
    recover_compact,
)
from commonweal.protocol.types import Address, JobState, Member, Role, Wei
from service.eventjson import from_hex, name_of
from service.policy import RelayPolicy
from service.repository import LIVE_STATES, JobUnknown, ProviderUnknown, Repository
from service.views import JobView, Views


class JobOver(Conflict):
    code = "job-over"


class CatchingUp(Unavailable):
    """Just started, or just told of the job: a moment later it is known."""

    code = "catching-up"


class RoundWrong(Conflict):
    code = "round-wrong"


class PhaseClosed(Conflict):
    code = "phase-closed"


class MemberUnknown(NotFound):
    code = "member-unknown"


class SeatUnknown(NotFound):
    code = "seat-unknown"


class AlreadyOnChain(Conflict):
    code = "already-on-chain"


class SignatureWrong(InvalidInput):
    code = "signature-wrong"


class SignatureExpired(Conflict):
    code = "signature-expired"


class OpeningWrong(InvalidInput):
    """Does not open the commitment on record, or there is none."""

    code = "opening-wrong"


class BallotLengthWrong(InvalidInput):
    code = "ballot-length-wrong"


class RolesNotHeld(Conflict):
    code = "roles-not-held"


class StakeTooLow(Conflict):
    code = "stake-too-low"


# A view that lags behind the sender's may be why; worth a second look at the chain.
PERHAPS_STALE = (
    JobUnknown,
    CatchingUp,
    RoundWrong,
    PhaseClosed,
    MemberUnknown,
    SeatUnknown,
    OpeningWrong,
)


class Verifier:
    def __init__(
        self, reader: ChainReader, views: Views, repository: Repository, policy: RelayPolicy
    ) -> None:
        self._reader = reader
        self._policy = policy
        self._views = views
        self._repository = repository
        self._deployment = reader.deployment

    def check(self, message: Message) -> None:
        """Raises one of this module's errors, JobUnknown, ProviderUnknown or ShareTooLow."""
        view = self._find_view(message.job)
        self._policy.check_share(view.job.parameters)
        match message:
            case JoinMessage() | LeaveMessage():
                self._check_membership(message, view)
            case UpdateCommitmentMessage():
                self._check_update_commitment(message, view)
            case UpdateRevealMessage():
                self._check_update_reveal(message, view)
            case BallotCommitmentMessage() | ModelAttestationMessage():
                self._check_seat_message(message, view)
            case BallotRevealMessage():
                self._check_ballot_reveal(message, view)

    def _find_view(self, job: int) -> JobView:
        view = self._views.get(job)
        if view is not None:
            return view
        state = self._repository.fetch_job(job)["state"]
        if state in LIVE_STATES:
            raise CatchingUp(f"job {job} is being read from the chain", job=job)
        raise JobOver(f"job {job} is over", job=job, state=state)

    # Rounds

    def _check_phase(self, message: RoundMessage, view: JobView) -> None:
        current, phase = view.round.round, PHASE_OF[message.kind]
        if message.round != current:
            text = f"job {message.job} is in round {current}, not in round {message.round}"
            raise RoundWrong(text, job=message.job, round=message.round, current=current)
        if view.round.phase is not phase:
            text = f"round {current} is in phase {name_of(view.round.phase)}"
            raise PhaseClosed(text, phase=name_of(view.round.phase), needed=name_of(phase))
        if (now := self._views.now()) >= view.round.ends_at:
            text = f"phase {name_of(phase)} ended at {view.round.ends_at}"
            raise PhaseClosed(text, phase=name_of(phase), ended_at=view.round.ends_at, now=now)

    def _check_update_commitment(self, message: UpdateCommitmentMessage, view: JobView) -> None:
        self._check_phase(message, view)
        member = _find_member(view, message.member)
        if not member.active or Role.TRAINER not in member.roles:
            text = f"member {message.member} of job {message.job} does not train"
            raise MemberUnknown(text, job=message.job, member=message.member)
        if message.member in view.round.committed:
            raise _already(message)
        digest = hash_update_commitment(
            self._deployment.rounds_domain, message.job, message.round, from_hex(message.commitment)
        )
        _check_signature(digest, message.signature, member.operator)

    def _check_update_reveal(self, message: UpdateRevealMessage, view: JobView) -> None:
        self._check_phase(message, view)
        _find_member(view, message.member)
        if message.member in view.round.revealed:
            raise _already(message)
        opened = compute_update_commitment(
            self._deployment.chain_id,
            self._deployment["Rounds"],
            message.job,
            message.round,
            message.member,
            from_hex(message.digest),
            from_hex(message.salt),
        )
        if opened != view.record.commitment_of(message.member):
            text = "digest and salt do not open the member's commitment"
            raise OpeningWrong(text, job=message.job, round=message.round, member=message.member)

    def _check_seat_message(
        self, message: BallotCommitmentMessage | ModelAttestationMessage, view: JobView
    ) -> None:
        self._check_phase(message, view)
        member = _find_seat(view, message.seat)
        slot = (self._deployment.rounds_domain, message.job, message.round)
        if isinstance(message, BallotCommitmentMessage):
            taken = view.round.ballots_committed
            digest = hash_ballot_commitment(*slot, from_hex(message.commitment))
        else:
            taken = view.round.attested
            digest = hash_model_attestation(*slot, from_hex(message.model_digest))
        if message.seat in taken:
            raise _already(message)
        _check_signature(digest, message.signature, member.operator)

    def _check_ballot_reveal(self, message: BallotRevealMessage, view: JobView) -> None:
        self._check_phase(message, view)
        member = _find_seat(view, message.seat)
        if message.seat in view.round.ballots_revealed:
            raise _already(message)
        have, need = len(message.scores), view.round.reveals
        if have != need:
            text = f"a ballot of this round has {need} scores"
            raise BallotLengthWrong(text, seat=message.seat, have=have, need=need)
        opened = compute_ballot_commitment(
            self._deployment.chain_id,
            self._deployment["Rounds"],
            message.job,
            message.round,
            member.member,
            pack_scores(message.scores),
            from_hex(message.salt),
        )
        if opened != view.record.sealed.get(message.seat):
            text = "scores and salt do not open the seat's commitment"
            raise OpeningWrong(text, job=message.job, round=message.round, seat=message.seat)

    # Membership

    def _check_membership(self, message: JoinMessage | LeaveMessage, view: JobView) -> None:
        now, at = self._views.now(), _head_number(self._views)
        if message.deadline <= now:
            text = f"the signature was good until {message.deadline}"
            raise SignatureExpired(text, deadline=message.deadline, now=now)
        owner = Address(to_checksum_address(message.provider))
        provider = self._reader.fetch_provider(owner, at)
        if int(provider.operator, 16) == 0:
            raise ProviderUnknown(f"nobody registered under {owner}", provider=owner)
        nonce = self._reader.fetch_member_nonce(message.job, owner, at)
        domain, job, deadline = self._deployment.board_domain, message.job, message.deadline
        member = next((m for m in view.members if m.provider == owner and m.active), None)
        if isinstance(message, LeaveMessage):
            if member is None:
                text = f"{owner} is not a member of job {job}"
                raise MemberUnknown(text, job=job, provider=owner)
            digest = hash_job_leave(domain, job, owner, nonce, deadline)
        else:
            if member is not None:
                raise _already(message)
            roles, stake = Role(message.roles), Wei(message.stake)
            digest = hash_job_join(domain, job, owner, roles, stake, nonce, deadline)
        _check_signature(digest, message.signature, provider.operator)
        if isinstance(message, JoinMessage):
            _check_terms(message, view, provider.roles, provider.free)


def _check_terms(message: JoinMessage, view: JobView, roles: Role, free: Wei) -> None:
    if view.job.state not in (JobState.RECRUITING, JobState.RUNNING):
        text = f"job {message.job} takes no more members"
        raise JobOver(text, job=message.job, state=name_of(view.job.state))
    if message.roles & ~int(roles):
        text = "the provider does not hold the roles it joins with"
        raise RolesNotHeld(text, asked=message.roles, held=int(roles))
    need = view.job.parameters.min_stake
    if message.stake < need or message.stake > free:
        text = f"the job asks for {need} wei, the provider has {free} free, {message.stake} offered"
        raise StakeTooLow(text, offered=str(message.stake), need=str(need), free=str(free))


def _find_member(view: JobView, index: int) -> Member:
    if (member := view.member(index)) is None:
        text = f"job {view.job.job} has no member {index}"
        raise MemberUnknown(text, job=view.job.job, member=index)
    return member


def _find_seat(view: JobView, seat: int) -> Member:
    if seat >= len(view.round.committee):
        text = f"the committee has {len(view.round.committee)} seats"
        raise SeatUnknown(text, seat=seat, seats=len(view.round.committee))
    return _find_member(view, view.round.committee[seat])


def _check_signature(digest: bytes, signature: str, expected: Address) -> None:
    recovered = recover_compact(digest, from_hex(signature))
    if recovered is None or recovered != expected:
        text = f"the signature is by {recovered}, not by {expected}"
        raise SignatureWrong(text, recovered=recovered, expected=expected)


def _already(message: Message) -> AlreadyOnChain:
    return AlreadyOnChain(f"this {message.kind} is on chain already", job=message.job)


def _head_number(views: Views) -> int:
    return views.head.number if views.head else 0
