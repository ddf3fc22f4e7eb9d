"""The journal: one value per slot for ever, and a kill between any two steps loses nothing."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_samples import DOMAIN, ROUNDS, sign_ballot, sign_model, sign_update

from commonweal.protocol.signing import Domain
from node_agent.errors import JournalForeign, SlotTaken
from node_agent.journal import Journal, Slot


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db", DOMAIN)
    yield journal
    journal.close()


@pytest.mark.parametrize("sign", [sign_update, sign_ballot, sign_model])
def test_gives_back_what_was_recorded(journal: Journal, sign: object) -> None:
    entry = sign()  # type: ignore[operator]
    assert journal.record(entry) == entry
    assert journal.entry(1, 1, entry.slot) == entry
    assert journal.entries([(1, 1), (1, 2)]) == {(1, 1, entry.slot): entry}


def test_the_same_entry_again_is_no_error(journal: Journal) -> None:
    entry = sign_update()
    journal.record(entry)
    assert journal.record(entry) == entry
    assert journal.count() == {Slot.UPDATE: 1, Slot.BALLOT: 0, Slot.ATTESTATION: 0}


@pytest.mark.parametrize("sign", [sign_update, sign_ballot])
def test_another_value_for_the_slot_is_impossible(journal: Journal, sign: object) -> None:
    first, second = sign(), sign()  # type: ignore[operator]
    assert first != second  # salts differ
    journal.record(first)
    with pytest.raises(SlotTaken) as caught:
        journal.record(second)
    assert caught.value.details == {"job": 1, "round": 1, "slot": first.slot.value}
    assert journal.entry(1, 1, first.slot) == first


@pytest.mark.parametrize("sign", [sign_update, sign_ballot])
def test_all_of_a_salt_is_random(sign: object) -> None:
    salts = [sign().salt for _ in range(20)]  # type: ignore[operator]
    assert {len(salt) for salt in salts} == {16}
    assert len({salt[:8] for salt in salts}) == len({salt[8:] for salt in salts}) == 20


def test_other_rounds_and_slots_are_other_values(journal: Journal) -> None:
    for entry in (sign_update(1), sign_update(2), sign_ballot(1), sign_model(1)):
        journal.record(entry)
    assert sum(journal.count(1).values()) == 4
    assert sum(journal.count(2).values()) == 0


def test_a_refused_ballot_leaves_no_memory(journal: Journal) -> None:
    journal.record(sign_ballot(1), b"first")
    with pytest.raises(SlotTaken):
        journal.record(sign_ballot(1), b"second")
    assert journal.memory_before(1, 2) == b"first"


def test_memory_is_of_the_latest_earlier_round(journal: Journal) -> None:
    journal.record(sign_ballot(1), b"one")
    journal.record(sign_ballot(4), b"four")
    assert [journal.memory_before(1, n) for n in (1, 2, 4, 5)] == [None, b"one", b"one", b"four"]
    assert journal.memory_before(2, 9) is None


def test_survives_a_reopening(tmp_path: Path) -> None:
    path, entry = tmp_path / "journal.db", sign_update()
    first = Journal(path, DOMAIN)
    first.record(entry)
    first.close()
    second = Journal(path, DOMAIN)
    assert second.entry(1, 1, Slot.UPDATE) == entry
    second.close()


def test_a_receipt_is_kept_once_and_survives_a_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path, DOMAIN)
    journal.record(sign_update())
    for document in ("first", "later"):
        journal.keep_receipt("0x01", "0xc0", document)
    journal.record(sign_ballot())
    journal.close()
    assert Journal(path, DOMAIN).receipts() == ["first"]


@pytest.mark.parametrize("domain", [Domain(1, ROUNDS), Domain(31337, DOMAIN.contract[:-1] + "d")])
def test_refuses_the_journal_of_another_network(tmp_path: Path, domain: Domain) -> None:
    Journal(tmp_path / "journal.db", DOMAIN).close()
    with pytest.raises(JournalForeign):
        Journal(tmp_path / "journal.db", domain)


def test_salts_are_for_the_owner_of_the_file_only(journal: Journal, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "journal.db").stat().st_mode) == 0o600


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from agent_samples import DOMAIN, sign_ballot
from node_agent import journal as module
from pathlib import Path
from sqlalchemy import event

journal = module.Journal(Path(sys.argv[1]), DOMAIN)
step, count = int(sys.argv[2]), 0

def die(*_):
    global count
    count += 1
    if count > step:
        os.kill(os.getpid(), signal.SIGKILL)

for name in ("begin", "before_cursor_execute", "after_cursor_execute", "commit"):
    event.listen(journal._engine, name, die)
entry = sign_ballot()
print(entry.message.commitment, entry.salt.hex(), flush=True)
journal.record(entry, b"memory")
print("recorded", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("step", [0, 2, 4, 6, 9])
def test_killed_at_any_step_it_holds_all_or_nothing(tmp_path: Path, step: int) -> None:
    """Entry and memory stand or fall together, and once recorded they stay."""
    path = tmp_path / "journal.db"
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, str(path), str(step), folder]
    died = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    journal = Journal(path, DOMAIN)
    entry, memory = journal.entry(1, 1, Slot.BALLOT), journal.memory_before(1, 2)
    journal.close()
    if "recorded" in died.stdout:
        assert entry is not None
        assert died.stdout.split()[:2] == [entry.message.commitment, entry.salt.hex()]
    assert (entry is None) == (memory is None)
    assert os.path.getsize(path) > 0
