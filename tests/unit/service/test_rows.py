"""A draft: what was changed in memory is what is read, and all of it is written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event, insert, select

from service import tables as t
from service.rows import Draft

PAGE = {"job": 1}


def member(number: int, earned: int = 0) -> dict[str, Any]:
    row = {"provider": f"0x{number}", "operator": "", "roles": 3, "stake": 5, "active": True}
    return {**PAGE, "member": number, **row, "earned": earned}


def key(number: int) -> dict[str, int]:
    return {**PAGE, "member": number}


def fill(database: Engine, *numbers: int) -> None:
    with database.begin() as connection:
        connection.execute(insert(t.members), [member(number) for number in numbers])


def read(database: Engine) -> dict[int, int]:
    with database.connect() as connection:
        rows = connection.execute(select(t.members.c.member, t.members.c.earned)).all()
    return dict(rows)


def test_rows_of_before_and_of_now_are_changed_alike(database: Engine) -> None:
    fill(database, 0, 1)
    with database.begin() as connection:
        draft = Draft(connection)
        draft.insert(t.members, member(2, earned=2**200))
        for number in (1, 2):
            draft.add(t.members, key(number), earned=7)
            draft.add(t.members, key(number), earned=-3)
        draft.write()
    assert read(database) == {0: 0, 1: 4, 2: 2**200 + 4}


def test_a_page_that_is_read_late_takes_nothing_back(database: Engine) -> None:
    fill(database, 0, 1)
    with database.begin() as connection:
        draft = Draft(connection)
        draft.set(t.members, key(1), earned=9)
        draft.insert(t.members, member(2))
        page = draft.load(t.members, PAGE)
        assert [(row["member"], row["earned"]) for row in page] == [(0, 0), (1, 9), (2, 0)]
        draft.write()
    assert read(database) == {0: 0, 1: 9, 2: 0}


def test_a_row_that_is_not_there_stays_away(database: Engine) -> None:
    with database.begin() as connection:
        draft = Draft(connection)
        draft.set(t.members, key(3), earned=1)
        assert draft.get(t.members, key(3)) == {}
        draft.write()
    assert read(database) == {}


def test_what_was_written_is_not_written_again(database: Engine) -> None:
    statements: list[str] = []
    with database.begin() as connection:
        draft = Draft(connection)
        draft.insert(t.members, member(0))
        draft.write()
        event.listen(database, "before_cursor_execute", lambda *args: statements.append(args[2]))
        draft.write()
        assert statements == []
        draft.set(t.members, key(0), earned=1)
        draft.write()
        assert [statement.split()[0] for statement in statements] == ["UPDATE"]
    assert read(database) == {0: 1}


def test_a_page_is_one_query_and_an_expected_void_none(database: Engine) -> None:
    fill(database, 0, 1)
    statements: list[str] = []
    with database.begin() as connection:
        event.listen(database, "before_cursor_execute", lambda *args: statements.append(args[2]))
        draft = Draft(connection)
        draft.load(t.members, PAGE)
        for number in (0, 1, 2):
            draft.get(t.members, key(number))
        assert len(statements) == 1
        draft.expect_none(t.members, {"job": 2})
        assert draft.get(t.members, {"job": 2, "member": 0}) == {}
        assert len(statements) == 1
