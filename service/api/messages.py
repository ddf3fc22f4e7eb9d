"""The relay's counter: signed messages come in, and one can ask what became of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, status

from commonweal import answers as s
from commonweal.protocol.messages import JoinMessage, LeaveMessage, Message
from commonweal.protocol.receipts import compute_id
from service.api.common import RowId, ServicesDep, hex_or_none
from service.api.errors import problems
from service.checks import PERHAPS_STALE
from service.eventjson import to_hex
from service.mailbox import REFUSED, Posted
from service.services import Services

router = APIRouter(prefix="/v1/messages", tags=["relay"])
MAX_MESSAGES = 64
_EXAMPLE = {
    "kind": "update-commitment",
    "job": 1,
    "round": 1,
    "member": 0,
    "commitment": "0x" + "ab" * 32,
    "signature": "0x" + "cd" * 64,
}
Messages = Annotated[
    Message | Annotated[list[Message], Body(min_length=1, max_length=MAX_MESSAGES)],
    Body(
        description=f"one message, or 1 to {MAX_MESSAGES}",
        openapi_examples={
            "one": {"summary": "One commitment", "value": _EXAMPLE},
            "several": {"summary": "A list", "value": [_EXAMPLE]},
        },
    ),
]


@router.post(
    "",
    summary="Hand in signed messages",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(400, 404, 409, 413, 422, 503),
)
def post_messages(
    services: ServicesDep, messages: Messages
) -> s.MessageState | list[s.MessageState]:
    """Checked here as the contracts will check them, then sent in batches at the coordinator's
    cost. Handing in the same message again is harmless and gives the same id. Of a list, all are
    checked before one is accepted. The `receipt` proves that this coordinator took it."""
    several = messages if isinstance(messages, list) else [messages]
    fresh = [_check(services, message) for message in several]
    pairs = zip(several, fresh, strict=True)
    states = [known or _accept(services, message) for message, known in pairs]
    return states if isinstance(messages, list) else states[0]


@router.get("/{message}", summary="What became of a message", responses=problems(404, 422, 503))
def get_message(services: ServicesDep, message: RowId) -> s.MessageState:
    return _show(services, services.mailbox.fetch(message))


def _check(services: Services, message: Message) -> s.MessageState | None:
    """What is known of it already, or None for a message that may be accepted."""
    known = services.mailbox.find(compute_id(message))
    if known is not None and known.state != REFUSED:
        return _show(services, known)
    try:
        services.verifier.check(message)
    except PERHAPS_STALE:
        services.engine.catch_up()
        services.verifier.check(message)
    if isinstance(message, JoinMessage | LeaveMessage):
        count = services.mailbox.count_memberships(message.job, message.provider)
        services.policy.check_memberships(message.job, message.provider, count)
    return None


def _accept(services: Services, message: Message) -> s.MessageState:
    posted = services.mailbox.post(message)
    services.engine.wake()
    return _show(services, posted)


def _show(services: Services, posted: Posted) -> s.MessageState:
    receipt = services.give_receipt(posted.id, posted.received_at)
    return s.MessageState(
        id=posted.id,
        state=posted.state,  # type: ignore[arg-type]
        tx=hex_or_none(posted.tx),
        block=posted.block_number,
        reason=posted.reason,
        receipt=s.Receipt(
            coordinator=receipt.coordinator,
            received_at=receipt.received_at,
            signature=to_hex(receipt.signature),
        ),
    )
