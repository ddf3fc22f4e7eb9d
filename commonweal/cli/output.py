"""What the command line prints, and its exit statuses. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
from decimal import Decimal

from commonweal.errors import CommonwealError, Conflict, InvalidInput, NotFound, Unavailable

TOKEN = 10**18  # wei
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


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Aligned text, never cut: it may be read by a program, and CIDs are long."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [columns, *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_fields(fields: dict[str, str]) -> None:
    width = max(map(len, fields))
    for name, value in fields.items():
        sys.stdout.write(f"{name.ljust(width)}  {value}\n")


def format_tokens(wei: int | str) -> str:
    """Two places, for people; exact amounts are in the JSON."""
    tokens = Decimal(wei) / TOKEN
    return "<0.01" if 0 < tokens < Decimal("0.01") else f"{tokens:,.2f}"


def format_bytes(count: int) -> str:
    """Decimal units, one place."""
    size, units = float(count), ["kB", "MB", "GB", "TB"]
    if count < 1000:
        return f"{count} bytes"
    unit = ""
    while units and size >= 1000:
        size, unit = size / 1000, units.pop(0)
    return f"{size:,.1f} {unit}"


def format_duration(seconds: int) -> str:
    """The two largest units: 1 d 6 h, 2 m 30 s."""
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, seconds = divmod(seconds, size)
        parts += [f"{amount} {unit}"] if amount else []
    return " ".join(parts[:2]) or "0 s"
