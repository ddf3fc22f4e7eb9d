"""What the command line prints, and its exit statuses. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from commonweal.errors import CommonwealError, Conflict, InvalidInput, NotFound, Unavailable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STATUS: dict[type[CommonwealError], int] = {
    InvalidInput: EXIT_USAGE,
    NotFound: 3,
    Unavailable: 4,
    Conflict: 5,
}
EXIT_HELP = (
    "Exit status: 0 done, 1 failed or not verified, 2 wrong usage or input, 3 not found, "
    "4 something did not answer, 5 conflict, 130 interrupted."
)


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_error(error: CommonwealError) -> int:
    """`error[code]: message` on stderr; returns the exit status."""
    sys.stderr.write(f"error[{error.code}]: {error.message}\n")
    statuses = (EXIT_STATUS[kind] for kind in EXIT_STATUS if isinstance(error, kind))
    return next(statuses, EXIT_FAILED)


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*["" if cell is None else str(cell) for cell in row])
    Console().print(table)


def print_fields(fields: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        text = json.dumps(value) if isinstance(value, dict | list) else value
        table.add_row(f"[bold]{name}[/bold]", str(text))
    Console().print(table)
