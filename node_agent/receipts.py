"""Receipts that coordinators gave for this node's messages: checked when they come, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from commonweal.adapters.chain import ChainReader
from commonweal.protocol.messages import AddressText, Message, Signature
from commonweal.protocol.receipts import (
    Outcome,
    RelayReceipt,
    compute_id,
    is_genuine,
    judge_promise,
)
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address
from node_agent.journal import Journal

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


class KeptReceipt(BaseModel):
    """All that a stranger needs to check it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    message: Message
    coordinator: AddressText
    received_at: int = Field(ge=0, lt=2**63, description="milliseconds")
    signature: Signature

    @property
    def receipt(self) -> RelayReceipt:
        signature = bytes.fromhex(self.signature[2:])
        return RelayReceipt(Address(self.coordinator), self.received_at, signature)


@dataclass(frozen=True, slots=True)
class Receipts:
    journal: Journal
    domain: Domain

    def take(self, url: str, message: Message, answer: Any) -> bool:
        """Keep what came with a coordinator's answer; False if that is no receipt for `message`."""
        receipt = answer.get("receipt") if isinstance(answer, dict) else None
        if not isinstance(receipt, dict):
            return False
        try:
            kept = KeptReceipt.model_validate({**receipt, "url": url, "message": message})
        except ValidationError:
            return False
        if not is_genuine(kept.receipt, self.domain, message):
            return False
        self.journal.keep_receipt(compute_id(message), kept.coordinator, kept.model_dump_json())
        return True

    def all(self) -> list[KeptReceipt]:
        """Oldest first."""
        return [KeptReceipt.model_validate_json(text) for text in self.journal.receipts()]


def judge_receipts(reader: ChainReader, kept: list[KeptReceipt]) -> Iterator[Outcome]:
    """Whether the chain has what was promised, one by one."""
    head = reader.fetch_head()
    start, domain = reader.deployment.deployed_block, reader.deployment.rounds_domain
    jobs = {each.message.job for each in kept}
    events = {job: reader.fetch_events(start, head.number, job) for job in jobs}
    for each in kept:
        of_job = events[each.message.job]
        yield judge_promise(each.receipt, domain, each.message, of_job, head.timestamp)
