"""One row at a time, by its key; and the register of which function folds which event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update

Row = dict[str, Any]
Handler = Callable[[Connection, Any], None]
HANDLERS: dict[Any, Handler] = {}
H = TypeVar("H", bound=Handler)


def handles(function: H) -> H:
    """For the event that the function's second argument is annotated with."""
    HANDLERS[get_type_hints(function)["event"]] = function
    return function


def set_row(connection: Connection, table: Table, key: Row, **row: Any) -> None:
    connection.execute(update(table).where(matches(table, key)).values(row))


def add_to_row(connection: Connection, table: Table, key: Row, **changes: int) -> None:
    """Sums here and not in SQL: money does not fit a database's integers."""
    found = get_row(connection, table, key)
    row = {name: found[name] + change for name, change in changes.items()}
    set_row(connection, table, key, **row)


def get_row(connection: Connection, table: Table, key: Row) -> Row:
    """Empty if there is none."""
    row = connection.execute(select(table).where(matches(table, key))).mappings().first()
    return dict(row) if row else {}


def matches(table: Table, key: Row) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in key.items()))
