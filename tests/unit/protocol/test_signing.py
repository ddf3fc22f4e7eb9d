import pytest
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol import signing
from commonweal.protocol.signing import Domain, recover_compact, sign_compact
from commonweal.protocol.types import Address, JobParameters, Role, Wei

VECTORS = load_vectors("messages")
ROUNDS = Domain(VECTORS["chain_id"], Address(VECTORS["rounds"]))
BOARD = Domain(VECTORS["chain_id"], Address(VECTORS["board"]))
MESSAGES = {message["kind"]: message for message in VECTORS["messages"]}
ROUND_MESSAGES = {"UpdateCommitment", "BallotCommitment", "ModelAttestation"}
TYPES = {
    "UpdateCommitment": "uint256 job,uint256 round,bytes32 commitment",
    "BallotCommitment": "uint256 job,uint256 round,bytes32 commitment",
    "ModelAttestation": "uint256 job,uint256 round,bytes32 modelDigest",
    "JobJoin": "uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,"
    "uint256 deadline",
    "JobLeave": "uint256 job,address provider,uint256 nonce,uint256 deadline",
    "JobOffer": "address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,"
    "uint256 deadline",
}
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = unhex(VECTORS["messages"][0]["signed"][0]["private_key"])


def compute_hash(kind, fields):
    domain = ROUNDS if kind in ROUND_MESSAGES else BOARD
    values = [_plain(value) for value in fields.values()]
    match kind:
        case "UpdateCommitment":
            return signing.hash_update_commitment(domain, *values)
        case "BallotCommitment":
            return signing.hash_ballot_commitment(domain, *values)
        case "ModelAttestation":
            return signing.hash_model_attestation(domain, *values)
        case "JobJoin":
            job, provider, roles, stake, nonce, deadline = values
            return signing.hash_job_join(
                domain, job, provider, Role(roles), Wei(stake), nonce, deadline
            )
        case "JobLeave":
            return signing.hash_job_leave(domain, *values)
        case _:
            return signing.hash_job_offer(domain, *values)


def _plain(value):
    if isinstance(value, str) and value.startswith("0x"):
        return unhex(value) if len(value) == 66 else value
    return int(value)


def test_signing_in_is_the_typed_data_that_wallets_show():
    message = {
        "host": "coordinator.example:8750",
        "coordinator": VECTORS["board"],
        "account": VECTORS["rounds"],
        "nonce": "WyJh",
        "expiresAt": 1_790_000_000,
    }
    kinds = "string host,address coordinator,address account,string nonce,uint256 expiresAt"
    fields = [dict(zip(("type", "name"), each.split(), strict=True)) for each in kinds.split(",")]
    domain = {
        "name": "Commonweal",
        "version": "1",
        "chainId": ROUNDS.chain_id,
        "verifyingContract": ROUNDS.contract,
    }
    signable = encode_typed_data(domain, {"SignIn": fields}, message)
    assert signing.hash_sign_in(ROUNDS, *message.values()) == _hash_eip191_message(signable)


@pytest.mark.parametrize("kind", MESSAGES)
def test_hashes(kind):
    message = MESSAGES[kind]
    assert compute_hash(kind, message["fields"]) == unhex(message["hash"])


@pytest.mark.parametrize("kind", MESSAGES)
def test_hashes_are_eip712_as_another_implementation_computes_them(kind):
    fields = [
        dict(zip(("type", "name"), field.split(), strict=True)) for field in TYPES[kind].split(",")
    ]
    domain = ROUNDS if kind in ROUND_MESSAGES else BOARD
    typed = encode_typed_data(
        {
            "name": "Commonweal",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        {kind: fields},
        {name: _plain(value) for name, value in MESSAGES[kind]["fields"].items()},
    )
    assert bytes(_hash_eip191_message(typed)) == unhex(MESSAGES[kind]["hash"])


@pytest.mark.parametrize("kind", MESSAGES)
def test_signatures(kind):
    digest = unhex(MESSAGES[kind]["hash"])
    for signed in MESSAGES[kind]["signed"]:
        signature = unhex(signed["signature"])
        assert sign_compact(unhex(signed["private_key"]), digest) == signature
        assert recover_compact(digest, signature) == signed["signer"]


def test_parameters_hash():
    fields = {key: _plain(value) for key, value in VECTORS["parameters"].items()}
    expected = unhex(VECTORS["parameters_hash"])
    assert signing.compute_parameters_hash(JobParameters(**fields)) == expected


def test_a_domain_of_another_chain_or_contract_gives_other_hashes():
    word = bytes(32)
    hashes = {
        signing.hash_update_commitment(domain, 1, 1, word)
        for domain in (ROUNDS, BOARD, Domain(1, ROUNDS.contract))
    }
    assert len(hashes) == 3


@given(st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_recovered(digest):
    assert recover_compact(digest, sign_compact(KEY, digest)) == Account.from_key(KEY).address


@given(st.binary(max_size=80))
def test_strange_bytes_never_raise(signature):
    signer = recover_compact(bytes(32), signature)
    assert signer is None or len(signature) == 64


def test_there_is_no_second_signature():
    """The mirrored s signs the same message; accepting it would let anybody make another."""
    digest = bytes(31) + b"\x01"
    signature = sign_compact(KEY, digest)
    vs = int.from_bytes(signature[32:])
    s, parity = vs & (1 << 255) - 1, vs >> 255
    mirrored = (ORDER - s) & (1 << 255) - 1 | (1 - parity) << 255
    assert recover_compact(digest, signature[:32] + mirrored.to_bytes(32)) != recover_compact(
        digest, signature
    )


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_what_is_no_signature_has_no_signer(signature):
    assert recover_compact(bytes(32), signature) is None
