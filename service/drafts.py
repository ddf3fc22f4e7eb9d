"""A job made ready for a wallet: its content stored here, and what is to be signed written out.

It saves a requester the keystore, not the trust: the wallet shows escrow and contract, the content
is named by its digests, and anybody can make it anew from the job file (`weal job submit` does).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.typed_data import Document, make_offer, make_permit
from commonweal.jobcontent import store_job_content
from commonweal.jobfile import JobFile, compute_parameters
from commonweal.protocol.signing import compute_parameters_hash
from commonweal.protocol.types import Address, JobParameters

LIFETIME = 3_600  # seconds that an offer is good for
_DIGESTS = ("spec_digest", "initial_model", "allowlist_root")
_MONEY = ("price_per_round", "min_stake")


@dataclass(frozen=True, slots=True)
class Draft:
    """`offer`: as POST /v1/jobs takes it, but for the signatures. The documents are EIP-712."""

    offer: dict[str, Any]
    offer_document: Document
    permit_document: Document


def draft_job(
    reader: ChainReader, store: ContentStore, requester: Address, job_file: JobFile
) -> Draft:
    """Raises ChainUnavailable, StoreFull, InvalidJobFile.

    The model is made here: check its size before.
    """
    now = reader.fetch_head().timestamp
    spec, model = store_job_content(job_file, store)
    parameters = compute_parameters(job_file.terms, spec=spec, model=model, now=now)
    nonce, deadline, escrow = secrets.randbits(64), now + LIFETIME, job_file.escrow
    board = reader.deployment.board_domain
    hashed = compute_parameters_hash(parameters)
    return Draft(
        offer={
            "requester": requester,
            "parameters": _show(parameters),
            "escrow": str(escrow),
            "nonce": str(nonce),
            "deadline": str(deadline),
        },
        offer_document=make_offer(board, requester, hashed, escrow, nonce, deadline),
        permit_document=make_permit(reader, requester, escrow, deadline),
    )


def _show(parameters: JobParameters) -> dict[str, Any]:
    """Money as text: the page that hands it in again knows numbers of 53 bits."""
    values = {name: getattr(parameters, name) for name in JobParameters.__slots__}
    values |= {name: "0x" + bytes(values[name]).hex() for name in _DIGESTS}
    return values | {name: str(values[name]) for name in _MONEY}
