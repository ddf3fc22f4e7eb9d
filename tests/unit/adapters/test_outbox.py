from dataclasses import replace

import pytest
from sqlalchemy import create_engine

from commonweal.adapters.outbox import (
    MINED,
    REVERTED,
    SIGNED,
    Outbox,
    SlotTaken,
    StoredTransaction,
    create_outbox_tables,
)
from commonweal.protocol.types import Address

ME, OTHER = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
CHAIN = 31_337
FIRST = StoredTransaction("reveal:1:1", 0, b"signed", b"\x01" * 32, SIGNED)


@pytest.fixture
def outbox(database_url):
    engine = create_engine(database_url)
    create_outbox_tables(engine)
    create_outbox_tables(engine)
    yield Outbox(engine)
    engine.dispose()


def test_what_is_stored_is_found(outbox):
    assert outbox.find(CHAIN, ME, FIRST.intent) is None
    outbox.store(CHAIN, ME, FIRST)
    assert outbox.find(CHAIN, ME, FIRST.intent) == FIRST
    assert outbox.find(CHAIN, OTHER, FIRST.intent) is None
    assert outbox.find(1, ME, FIRST.intent) is None


@pytest.mark.parametrize("second", [replace(FIRST, nonce=1), replace(FIRST, intent="other")])
def test_an_intent_and_a_nonce_are_taken_once(outbox, second):
    outbox.store(CHAIN, ME, FIRST)
    with pytest.raises(SlotTaken) as raised:
        outbox.store(CHAIN, ME, second)
    assert raised.value.details == {"intent": second.intent, "nonce": second.nonce}
    assert outbox.find(CHAIN, ME, FIRST.intent) == FIRST
    outbox.store(CHAIN, OTHER, second)


def test_only_a_reverted_intent_makes_room(outbox):
    outbox.store(CHAIN, ME, FIRST)
    again = replace(FIRST, nonce=1)
    outbox.mark(CHAIN, ME, FIRST, MINED)
    with pytest.raises(SlotTaken):
        outbox.store(CHAIN, ME, again)
    outbox.mark(CHAIN, ME, FIRST, REVERTED)
    outbox.store(CHAIN, ME, again)
    assert outbox.find(CHAIN, ME, FIRST.intent) == again


def test_pending_ones_come_by_nonce(outbox):
    rows = [replace(FIRST, intent=f"i{nonce}", nonce=nonce) for nonce in (2, 0, 1)]
    for row in rows:
        outbox.store(CHAIN, ME, row)
    outbox.mark(CHAIN, ME, rows[2], MINED)
    assert [row.nonce for row in outbox.find_pending(CHAIN, ME)] == [0, 2]


def test_the_lowest_free_nonce_is_next(outbox):
    assert outbox.find_free_nonce(CHAIN, ME, 4) == 4
    for nonce in (0, 1, 3):
        outbox.store(CHAIN, ME, replace(FIRST, intent=f"i{nonce}", nonce=nonce))
    assert outbox.find_free_nonce(CHAIN, ME, 0) == 2
    assert outbox.find_free_nonce(CHAIN, ME, 3) == 4
    outbox.discard(CHAIN, ME, replace(FIRST, intent="i0"))
    assert outbox.find_free_nonce(CHAIN, ME, 0) == 0


def test_a_replacement_keeps_nonce_and_intent_and_all_hashes(outbox):
    outbox.store(CHAIN, ME, FIRST)
    second = outbox.replace(CHAIN, ME, FIRST, b"dearer", b"\x02" * 32)
    assert (second.intent, second.nonce) == (FIRST.intent, FIRST.nonce)
    assert outbox.find(CHAIN, ME, FIRST.intent) == second
    third = outbox.replace(CHAIN, ME, second, b"dearest", b"\x03" * 32)
    assert outbox.find_by_nonce(CHAIN, ME, 0) == third
    assert third.hashes == (b"\x03" * 32, b"\x02" * 32, b"\x01" * 32)
    outbox.mark(CHAIN, ME, FIRST, MINED)
    assert outbox.find_pending(CHAIN, ME) == []


def test_of_two_replacements_of_one_version_the_first_stays(outbox):
    outbox.store(CHAIN, ME, FIRST)
    second = outbox.replace(CHAIN, ME, FIRST, b"dearer", b"\x02" * 32)
    assert outbox.replace(CHAIN, ME, FIRST, b"as dear", b"\x03" * 32) is None
    assert outbox.find_pending(CHAIN, ME) == [second]
