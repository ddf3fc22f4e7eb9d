import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol.commitments import (
    InvalidPacking,
    compute_ballot_commitment,
    compute_batch_hash,
    compute_reveals_hash,
    compute_tally_hash,
    compute_update_commitment,
    pack_entries,
    pack_members,
    pack_scores,
    pack_seats,
    unpack_ballots,
    unpack_entries,
    unpack_members,
    unpack_openings,
    unpack_scores,
    unpack_seats,
    unpack_shares,
)
from commonweal.protocol.types import Address

VECTORS = load_vectors("commitments")
ROUNDS = Address(VECTORS["rounds"])
words = st.binary(min_size=32, max_size=32)
salts = st.binary(min_size=16, max_size=16)
uint16 = st.integers(0, 65_535)


def slot_of(case):
    return VECTORS["chain_id"], ROUNDS, int(case["job"]), case["round"], case["member"]


@pytest.mark.parametrize("case", VECTORS["updates"])
def test_update_commitments(case):
    opening = unhex(case["digest"]), unhex(case["salt"])
    assert compute_update_commitment(*slot_of(case), *opening) == unhex(case["commitment"])


@pytest.mark.parametrize("case", VECTORS["ballots"])
def test_ballot_commitments(case):
    opening = unhex(case["ballot"]), unhex(case["salt"])
    assert compute_ballot_commitment(*slot_of(case), *opening) == unhex(case["commitment"])


@pytest.mark.parametrize("case", VECTORS["batches"])
def test_batch_hashes(case):
    assert compute_batch_hash(unhex(case["entries"])) == unhex(case["hash"])


@pytest.mark.parametrize("case", VECTORS["reveals"])
def test_reveals_hashes(case):
    assert compute_reveals_hash([unhex(call) for call in case["calls"]]) == unhex(case["hash"])


@pytest.mark.parametrize("case", VECTORS["tallies"])
def test_tally_hashes(case):
    scores, shares = unpack_scores(unhex(case["scores"])), unpack_shares(unhex(case["shares"]))
    assert compute_tally_hash(scores, shares) == unhex(case["hash"])


@given(st.data())
def test_a_commitment_binds_everything(data):
    """No field of the slot, nor digest or salt, can be another and give the same commitment."""
    slot = [31_337, 7, 3, 5, bytes(32), bytes(16)]
    changed = list(slot)
    at = data.draw(st.integers(0, 5))
    changed[at] = data.draw(
        [*[st.integers(0, 2**16 - 1)] * 4, words, salts][at].filter(lambda value: value != slot[at])
    )
    assert _commit(changed) != _commit(slot)


def test_a_commitment_binds_the_contract():
    other = Address("0x" + "99" * 20)
    values = (1, 1, 1, bytes(32), bytes(16))
    assert compute_update_commitment(1, ROUNDS, *values) != compute_update_commitment(
        1, other, *values
    )


def _commit(fields):
    return compute_update_commitment(fields[0], ROUNDS, *fields[1:])


@given(st.lists(st.tuples(uint16, words), max_size=20))
def test_entries_survive(entries):
    assert list(unpack_entries(pack_entries(entries))) == entries


@given(st.lists(uint16, max_size=20), st.lists(st.integers(0, 255), max_size=15))
def test_numbers_survive(members, seats):
    assert list(unpack_members(pack_members(members))) == members
    assert list(unpack_scores(pack_scores(members))) == members
    assert list(unpack_seats(pack_seats(seats))) == seats


@given(st.lists(st.tuples(uint16, words, st.none() | salts), max_size=20))
def test_openings_survive(entries):
    members = pack_members(member for member, _, _ in entries)
    opened = sum(1 << at for at, (_, _, salt) in enumerate(entries) if salt is not None)
    packed = b"".join(value + (salt or b"") for _, value, salt in entries)
    assert unpack_openings(members, opened, packed) == entries


@given(st.integers(0, 9), st.lists(salts, max_size=15))
def test_ballots_survive(updates, salts_of_seats):
    ballots = [pack_scores([seat] * updates) for seat in range(len(salts_of_seats))]
    seats = pack_seats(range(len(ballots)))
    found = unpack_ballots(seats, b"".join(ballots), b"".join(salts_of_seats))
    assert found == list(zip(range(len(ballots)), ballots, salts_of_seats, strict=True))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: pack_scores([65_536]),
        lambda: pack_members([-1]),
        lambda: pack_seats([256]),
        lambda: pack_entries([(1, b"short")]),
        lambda: unpack_scores(b"odd"),
        lambda: unpack_members(b"x"),
        lambda: unpack_entries(bytes(35)),
        lambda: unpack_openings(b"\0\1", 1, bytes(47)),
        lambda: unpack_openings(b"\0\1", 0, bytes(48)),
        lambda: unpack_ballots(b"\0\1", bytes(6), bytes(32)),
        lambda: unpack_ballots(b"\0\1", bytes(8), bytes(31)),
    ],
)
def test_what_does_not_fit_is_refused(broken):
    with pytest.raises(InvalidPacking) as raised:
        broken()
    assert raised.value.code == "invalid-packing"
