"""EIP-712 hashes of every signed message, and 64-byte signatures (EIP-2098).

Domain ("Commonweal", "1", chain id, contract): round messages and signing in at a coordinator are
bound to Rounds, membership and offers to JobBoard, jurors' votes to Appeals. The hashing is by
hand, in a few lines, so that it can be read and audited.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache

from coincurve import PrivateKey, PublicKey
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from commonweal.protocol.types import Address, JobParameters, Role, Wei


@dataclass(frozen=True, slots=True)
class Domain:
    chain_id: int
    contract: Address

    @property
    def separator(self) -> bytes:
        return _compute_separator(self)


@lru_cache(maxsize=64)  # a program has two or three, and needs one for every signature
def _compute_separator(domain: Domain) -> bytes:
    values = [
        _DOMAIN,
        keccak(text="Commonweal"),
        keccak(text="1"),
        domain.chain_id,
        domain.contract,
    ]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], values))


def hash_update_commitment(domain: Domain, job: int, round_: int, commitment: bytes) -> bytes:
    return _hash_slot(domain, _UPDATE_COMMITMENT, job, round_, commitment)


def hash_ballot_commitment(domain: Domain, job: int, round_: int, commitment: bytes) -> bytes:
    return _hash_slot(domain, _BALLOT_COMMITMENT, job, round_, commitment)


def hash_model_attestation(domain: Domain, job: int, round_: int, model_digest: bytes) -> bytes:
    return _hash_slot(domain, _MODEL_ATTESTATION, job, round_, model_digest)


def hash_appeal_vote(domain: Domain, appeal: int, level: int, commitment: bytes) -> bytes:
    """`level` 1 or 2; `commitment`: see commitments.compute_vote_commitment."""
    return _hash_slot(domain, _APPEAL_VOTE, appeal, level, commitment)


def hash_job_join(
    domain: Domain, job: int, provider: Address, roles: Role, stake: Wei, nonce: int, deadline: int
) -> bytes:
    types = ["bytes32", "uint256", "address", "uint8", "uint256", "uint256", "uint256"]
    return _hash(domain, types, [_JOB_JOIN, job, provider, int(roles), stake, nonce, deadline])


def hash_job_leave(domain: Domain, job: int, provider: Address, nonce: int, deadline: int) -> bytes:
    types = ["bytes32", "uint256", "address", "uint256", "uint256"]
    return _hash(domain, types, [_JOB_LEAVE, job, provider, nonce, deadline])


def hash_job_offer(
    domain: Domain,
    requester: Address,
    parameters_hash: bytes,
    escrow: Wei,
    nonce: int,
    deadline: int,
) -> bytes:
    types = ["bytes32", "address", "bytes32", "uint256", "uint256", "uint256"]
    values = [_JOB_OFFER, requester, parameters_hash, escrow, nonce, deadline]
    return _hash(domain, types, values)


def hash_relay_receipt(domain: Domain, message_id: bytes, received_at: int) -> bytes:
    """`received_at`: milliseconds. A coordinator's word to a sender; no contract reads it."""
    types = ["bytes32", "bytes32", "uint256"]
    return _hash(domain, types, [_RELAY_RECEIPT, message_id, received_at])


def hash_sign_in(
    domain: Domain,
    host: str,
    coordinator: Address,
    account: Address,
    nonce: str,
    expires_at: int,
) -> bytes:
    """`host` as in the URL that was dialled, `expires_at` in Unix seconds. No contract reads it."""
    types = ["bytes32", "bytes32", "address", "address", "bytes32", "uint256"]
    words = [_SIGN_IN, keccak(text=host), coordinator, account, keccak(text=nonce), expires_at]
    return _hash(domain, types, words)


def compute_parameters_hash(parameters: JobParameters) -> bytes:
    """keccak256(abi.encode(parameters)) of the contract's struct."""
    return keccak(encode([JOB_PARAMETERS_ABI], [astuple(parameters)]))


def sign_compact(private_key: bytes, digest: bytes) -> bytes:
    """(r, vs): the sign bit of y rides on top of s, which is always in the lower half."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    r, s, parity = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    return r + (s | parity << 255).to_bytes(32)


def recover_compact(digest: bytes, signature: bytes) -> Address | None:
    """The signer's address, or None for bytes that are no signature to the contracts either."""
    if len(signature) != 64:
        return None
    vs = int.from_bytes(signature[32:])
    s = vs & (1 << 255) - 1
    if s > _HALF_ORDER:  # one message, one signature: the mirrored s would make a second
        return None
    recoverable = signature[:32] + s.to_bytes(32) + bytes([vs >> 255])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises bare Exception
        return None
    return Address(to_checksum_address(keccak(key.format(compressed=False)[1:])[12:]))


def _hash_slot(domain: Domain, kind: bytes, job: int, round_: int, word: bytes) -> bytes:
    return _hash(domain, ["bytes32", "uint256", "uint256", "bytes32"], [kind, job, round_, word])


def _hash(domain: Domain, types: list[str], values: list[object]) -> bytes:
    return keccak(b"\x19\x01" + domain.separator + keccak(encode(types, values)))


JOB_PARAMETERS_ABI = (
    "(bytes32,bytes32,uint32,uint128,uint16,uint16,address,uint16,uint16,uint8,uint128,"
    "uint32,uint32,uint32,uint32,uint32,uint64,uint16,bytes32)"
)
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_DOMAIN = keccak(
    text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_UPDATE_COMMITMENT = keccak(text="UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)")
_BALLOT_COMMITMENT = keccak(text="BallotCommitment(uint256 job,uint256 round,bytes32 commitment)")
_MODEL_ATTESTATION = keccak(text="ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)")
_APPEAL_VOTE = keccak(text="AppealVote(uint256 appeal,uint256 level,bytes32 commitment)")
_JOB_JOIN = keccak(
    text="JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,"
    "uint256 deadline)"
)
_JOB_LEAVE = keccak(text="JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)")
_RELAY_RECEIPT = keccak(text="RelayReceipt(bytes32 message,uint256 receivedAt)")
_SIGN_IN = keccak(
    text="SignIn(string host,address coordinator,address account,string nonce,uint256 expiresAt)"
)
_JOB_OFFER = keccak(
    text="JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,"
    "uint256 deadline)"
)
