"""Messages are kept once, one value per slot, until the chain has them or refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from commonweal.protocol.messages import JoinMessage, LeaveMessage, UpdateCommitmentMessage
from service.mailbox import Mailbox, MessageUnknown, Posted, SlotTaken

NOBODY = "0x" + "00" * 20


def commitment(value: str = "aa", signature: str = "11") -> UpdateCommitmentMessage:
    return UpdateCommitmentMessage(
        job=1, round=1, member=0, commitment="0x" + value * 32, signature="0x" + signature * 64
    )


def join(signature: str) -> JoinMessage:
    return JoinMessage(
        job=1,
        provider=NOBODY,
        roles=1,
        stake=2**200,
        deadline=9,
        signature="0x" + signature * 64,
    )


def just_before(database: Engine, statement: str, act: Callable[[], Any]) -> None:
    """`act` once, before the first statement that begins like this."""
    pending = [act]

    def listen(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(statement) and pending:
            pending.pop()()

    event.listen(database, "before_cursor_execute", listen)


def test_one_value_is_one_message_whoever_signs_it_how_often(database: Engine) -> None:
    mailbox = Mailbox(database)
    first = mailbox.post(commitment())
    assert mailbox.post(commitment(signature="22")) == first
    with pytest.raises(SlotTaken):
        mailbox.post(commitment(value="bb"))
    assert [x.message for x in mailbox.fetch_waiting()[1]] == [commitment()]


def test_of_two_values_that_come_at_the_same_time_one_takes_the_slot(database: Engine) -> None:
    mailbox = Mailbox(database)
    rival = commitment(value="bb")
    just_before(database, "INSERT INTO messages", lambda: mailbox.post(rival))
    with pytest.raises(SlotTaken):
        mailbox.post(commitment())
    assert [x.message for x in mailbox.fetch_waiting()[1]] == [rival]


def test_a_message_that_comes_twice_at_the_same_time_is_one(database: Engine) -> None:
    mailbox = Mailbox(database)
    first: list[Posted] = []
    just_before(database, "INSERT INTO messages", lambda: first.append(mailbox.post(commitment())))
    assert mailbox.post(commitment()) == first[0]


def test_a_refused_message_stays_refused_when_another_has_its_slot(database: Engine) -> None:
    mailbox = Mailbox(database)
    refused = mailbox.post(commitment()).id
    mailbox.mark_refused([refused], "phase-closed")
    other = commitment(value="bb")
    just_before(database, "UPDATE messages", lambda: mailbox.post(other))
    with pytest.raises(SlotTaken):
        mailbox.post(commitment())
    mailbox.mark_accepted([refused])
    assert mailbox.fetch(refused).state == "refused"
    assert [x.message for x in mailbox.fetch_waiting()[1]] == [other]


def test_a_refused_message_may_come_again_and_frees_its_slot(database: Engine) -> None:
    mailbox = Mailbox(database)
    first = mailbox.post(commitment())
    mailbox.mark_refused([first.id], "seed-pending")
    assert mailbox.fetch(first.id).reason == "seed-pending"
    assert mailbox.fetch_waiting() == {}
    assert mailbox.post(commitment()).state == "accepted"
    assert mailbox.fetch(first.id).reason is None


def test_joining_again_with_another_nonce_is_another_message(database: Engine) -> None:
    mailbox = Mailbox(database)
    assert mailbox.post(join("11")).id != mailbox.post(join("22")).id
    assert len(mailbox.fetch_waiting()[1]) == 2


def test_a_providers_moves_in_a_job_are_counted_unless_they_were_refused(
    database: Engine,
) -> None:
    mailbox = Mailbox(database)
    ids = [mailbox.post(join(signature)).id for signature in ("11", "22", "33")]
    leave = LeaveMessage(job=1, provider=NOBODY, deadline=9, signature="0x" + "44" * 64)
    mailbox.post(leave)
    mailbox.post(join("55").model_copy(update={"job": 11}))
    mailbox.post(join("66").model_copy(update={"provider": "0x" + "77" * 20}))
    mailbox.mark_refused(ids[:1], "member-engaged")
    mailbox.mark_mined(ids[1:2], None, 12)
    assert mailbox.count_memberships(1, NOBODY) == 3
    assert mailbox.count_memberships(2, NOBODY) == 0


def test_what_is_on_its_way_waits_again_when_nobody_works_on_its_job(database: Engine) -> None:
    mailbox = Mailbox(database)
    sent = mailbox.post(commitment())
    mailbox.mark_sent([sent.id])
    assert (mailbox.fetch_waiting(), mailbox.count_waiting()) == ({}, 1)
    mailbox.reopen_sent({1})
    assert mailbox.fetch(sent.id).state == "sent"
    mailbox.reopen_sent({2})
    assert mailbox.fetch(sent.id).state == "accepted"
    mailbox.mark_mined([sent.id], None, 12)
    assert (mailbox.fetch(sent.id).block_number, mailbox.count_waiting()) == (12, 0)


def test_an_unknown_message_is_named(database: Engine) -> None:
    with pytest.raises(MessageUnknown, match="nothing"):
        Mailbox(database).fetch("nothing")


def test_offers_are_counted_by_requester_and_hour(database: Engine) -> None:
    mailbox = Mailbox(database)
    for number in range(3):
        mailbox.post_offer(str(number), "0xAB", {})
    mailbox.post_offer("another's", "0xCD", {})
    mailbox.mark_offer("0", "refused")
    assert mailbox.count_offers("0xab", 3_600) == 2
    assert mailbox.count_offers("0xab", -1) == 0  # as if that long had passed


def test_an_offer_that_comes_twice_at_the_same_time_is_one(database: Engine) -> None:
    mailbox = Mailbox(database)
    just_before(database, "INSERT INTO offers", lambda: mailbox.post_offer("1", "0xAB", {}))
    assert mailbox.post_offer("1", "0xAB", {}).state == "accepted"
    assert [offer.id for offer in mailbox.fetch_unsettled_offers()] == ["1"]
