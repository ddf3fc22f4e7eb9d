"""Offers as EIP-712 documents in JSON, for wallets that show what they sign.

The hashes are those of `commonweal.protocol.signing`, by which the contracts check them.
"""

from __future__ import annotations

from typing import Any

from commonweal.adapters.chain import ChainReader
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address, Wei

Document = dict[str, Any]
_DOMAIN = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
}
_OFFER = {
    "requester": "address",
    "parametersHash": "bytes32",
    "escrow": "uint256",
    "nonce": "uint256",
    "deadline": "uint256",
}
_PERMIT = {
    "owner": "address",
    "spender": "address",
    "value": "uint256",
    "nonce": "uint256",
    "deadline": "uint256",
}


def make_offer(
    board: Domain,
    requester: Address,
    parameters_hash: bytes,
    escrow: Wei,
    nonce: int,
    deadline: int,
) -> Document:
    """`JobOffer`; see signing.hash_job_offer."""
    message = {
        "requester": requester,
        "parametersHash": "0x" + parameters_hash.hex(),
        "escrow": str(escrow),
        "nonce": str(nonce),
        "deadline": str(deadline),
    }
    return _make("JobOffer", _OFFER, "Commonweal", board, message)


def make_permit(reader: ChainReader, owner: Address, value: Wei, deadline: int) -> Document:
    """`Permit` (ERC-2612) of the token, for the board to take `value` wei."""
    head, deployment = reader.fetch_head().number, reader.deployment
    token = Domain(deployment.chain_id, deployment["CommonwealToken"])
    message = {
        "owner": owner,
        "spender": deployment["JobBoard"],
        "value": str(value),
        "nonce": str(reader.call("CommonwealToken", "nonces", owner, at=head)),
        "deadline": str(deadline),
    }
    name = str(reader.call("CommonwealToken", "name", at=head))
    return _make("Permit", _PERMIT, name, token, message)


def _make(
    kind: str, fields: dict[str, str], name: str, domain: Domain, message: dict[str, str]
) -> Document:
    """Numbers as decimal text: wallets are written in a language that knows 53 bits."""
    types = {"EIP712Domain": _DOMAIN, kind: fields}
    return {
        "types": {
            each: [{"name": field, "type": type_} for field, type_ in members.items()]
            for each, members in types.items()
        },
        "primaryType": kind,
        "domain": {
            "name": name,
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": message,
    }
