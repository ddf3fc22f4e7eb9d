"""Derived rows as a run of events leaves them: read once, changed in memory, written together.

Also the register of which function folds which event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, get_type_hints

from sqlalchemy import Connection, Select, Table, Update, bindparam, insert, select, update

Row = dict[str, Any]
Key = tuple[Any, ...]
Handler = Callable[["Draft", Any], None]
HANDLERS: dict[Any, Handler] = {}
H = TypeVar("H", bound=Handler)


def handles(function: H) -> H:
    """For the event that the function's second argument is annotated with."""
    HANDLERS[get_type_hints(function)["event"]] = function
    return function


class Draft:
    """Within one transaction. What it holds is in the database only after `write`.

    A key is given as a mapping, in the order of the table's primary key. All rows whose keys differ
    in the last column only are a page, named by the key without it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sheets: dict[Table, _Sheet] = {}

    def insert(self, table: Table, row: Row) -> None:
        self._sheet(table).insert(_blank(table) | row)

    def set(self, table: Table, key: Row, **changes: Any) -> None:
        """A row that is not there stays away."""
        if row := self.get(table, key):
            row.update(changes)
            self._sheet(table).changed.add(tuple(key.values()))

    def add(self, table: Table, key: Row, **changes: int) -> None:
        """Sums here and not in SQL: money does not fit a database's integers."""
        row = self.get(table, key)
        self.set(table, key, **{name: row[name] + change for name, change in changes.items()})

    def get(self, table: Table, key: Row) -> Row:
        """Empty if there is none. To be changed by `set` only."""
        sheet, values = self._sheet(table), tuple(key.values())
        row = sheet.pages[values[:-1]].get(values)
        if row is None and values[:-1] not in sheet.whole:
            self._read(table, values)
            row = sheet.pages[values[:-1]].get(values)
        return row or {}

    def load(self, table: Table, page: Row) -> list[Row]:
        """All rows of a page, keys ascending: one query, where each would take one."""
        sheet, values = self._sheet(table), tuple(page.values())
        if values not in sheet.whole:
            self._read(table, values)
            sheet.whole.add(values)
        return [row for _, row in sorted(sheet.pages[values].items())]

    def expect_none(self, table: Table, page: Row) -> None:
        """The database has no row of this page and need not be asked."""
        self._sheet(table).whole.add(tuple(page.values()))

    def write(self) -> None:
        for table, sheet in self._sheets.items():
            if rows := sheet.take_fresh():
                self._connection.execute(insert(table), rows)
            if rows := sheet.take_changed():
                self._connection.execute(_update(table), [_rename(table, row) for row in rows])

    def _read(self, table: Table, values: Key) -> None:
        """What is held already is newer."""
        sheet = self._sheet(table)
        query, names = _select(table, len(values)), table.primary_key.columns.keys()
        found = self._connection.execute(query, dict(zip(names, values, strict=False)))
        for row in found.mappings():
            key = tuple(row.values())[: sheet.width]
            sheet.pages[key[:-1]].setdefault(key, dict(row))

    def _sheet(self, table: Table) -> _Sheet:
        sheet = self._sheets.get(table)
        if sheet is None:
            sheet = self._sheets[table] = _Sheet(len(table.primary_key.columns))
        return sheet


class _Sheet:
    """What is known of one table. `width`: columns of its key, which are the first it has."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.pages: defaultdict[Key, dict[Key, Row]] = defaultdict(dict)
        self.whole: set[Key] = set()  # pages of which every row is held
        self.changed: set[Key] = set()
        self._fresh: set[Key] = set()

    def insert(self, row: Row) -> None:
        key = tuple(row.values())[: self.width]
        self.pages[key[:-1]][key] = row
        self._fresh.add(key)

    def take_fresh(self) -> list[Row]:
        fresh, self._fresh = self._fresh, set()
        self.changed -= fresh
        return self._rows(fresh)

    def take_changed(self) -> list[Row]:
        changed, self.changed = self.changed, set()
        return self._rows(changed)

    def _rows(self, keys: set[Key]) -> list[Row]:
        """Keys ascending: neighbours in the table are written together."""
        return [self.pages[key[:-1]][key] for key in sorted(keys)]


@cache
def _select(table: Table, columns: int) -> Select[Any]:
    keys = list(table.primary_key.columns)[:columns]
    return select(table).where(*(key == bindparam(key.name) for key in keys))


@cache
def _update(table: Table) -> Update:
    keys = table.primary_key.columns
    changes: dict[str, Any] = {c.name: bindparam(c.name) for c in table.c if c.name not in keys}
    return update(table).where(*(k == bindparam(f"key_{k.name}") for k in keys)).values(changes)


def _rename(table: Table, row: Row) -> Row:
    """As `_update` takes it."""
    keys = table.primary_key.columns
    return {f"key_{name}" if name in keys else name: value for name, value in row.items()}


@cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(table.c.keys())


def _blank(table: Table) -> Row:
    return dict.fromkeys(_names(table))
