"""The node's signatures: each signed message comes with what opens it, ready for the journal."""

from __future__ import annotations

import secrets

from commonweal.adapters.deployment import Deployment
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_update_commitment,
    compute_vote_commitment,
    pack_scores,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    JoinMessage,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
)
from commonweal.protocol.signing import (
    hash_appeal_vote,
    hash_ballot_commitment,
    hash_job_join,
    hash_model_attestation,
    hash_update_commitment,
    sign_compact,
)
from commonweal.protocol.types import Address, Digest, Score
from node_agent.decisions import Join
from node_agent.journal import Slot, SlotEntry, Vote


class Signer:
    def __init__(self, private_key: bytes, deployment: Deployment, provider: Address) -> None:
        """`private_key`: the operator's."""
        self._key = private_key
        self._rounds = deployment.rounds_domain
        self._board = deployment.board_domain
        self._appeals = deployment.appeals_domain
        self._provider = provider

    def commit_update(self, job: int, round_: int, member: int, digest: Digest) -> SlotEntry:
        salt = secrets.token_bytes(SALT_BYTES)
        commitment = compute_update_commitment(
            self._rounds.chain_id, self._rounds.contract, job, round_, member, digest, salt
        )
        message = UpdateCommitmentMessage(
            job=job,
            round=round_,
            member=member,
            commitment=_hex(commitment),
            signature=self._sign(hash_update_commitment(self._rounds, job, round_, commitment)),
        )
        return SlotEntry(Slot.UPDATE, digest, salt, message)

    def commit_ballot(
        self, job: int, round_: int, member: int, seat: int, scores: tuple[Score, ...]
    ) -> SlotEntry:
        ballot, salt = pack_scores(scores), secrets.token_bytes(SALT_BYTES)
        commitment = compute_ballot_commitment(
            self._rounds.chain_id, self._rounds.contract, job, round_, member, ballot, salt
        )
        message = BallotCommitmentMessage(
            job=job,
            round=round_,
            seat=seat,
            commitment=_hex(commitment),
            signature=self._sign(hash_ballot_commitment(self._rounds, job, round_, commitment)),
        )
        return SlotEntry(Slot.BALLOT, ballot, salt, message)

    def attest_model(self, job: int, round_: int, seat: int, digest: Digest) -> SlotEntry:
        message = ModelAttestationMessage(
            job=job,
            round=round_,
            seat=seat,
            model_digest=_hex(digest),
            signature=self._sign(hash_model_attestation(self._rounds, job, round_, digest)),
        )
        return SlotEntry(Slot.ATTESTATION, digest, b"", message)

    def commit_vote(self, appeal: int, level: int, member: int, *, overturn: bool) -> Vote:
        salt = secrets.token_bytes(SALT_BYTES)
        place = (self._appeals.chain_id, self._appeals.contract, appeal, level, member)
        commitment = compute_vote_commitment(*place, overturn=overturn, salt=salt)
        digest = hash_appeal_vote(self._appeals, appeal, level, commitment)
        return Vote(appeal, level, overturn, salt, commitment, sign_compact(self._key, digest))

    def join_job(self, join: Join, deadline: int, proof: tuple[str, ...]) -> JoinMessage:
        digest = hash_job_join(
            self._board, join.job, self._provider, join.roles, join.stake, join.nonce, deadline
        )
        return JoinMessage(
            job=join.job,
            provider=self._provider,
            roles=int(join.roles),
            stake=join.stake,
            deadline=deadline,
            allowlist_proof=proof,
            signature=self._sign(digest),
        )

    def _sign(self, digest: bytes) -> str:
        return _hex(sign_compact(self._key, digest))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
