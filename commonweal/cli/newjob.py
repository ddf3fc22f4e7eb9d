"""`weal job new` and `weal job schema`: from nothing to a job file that is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.errors import Conflict
from commonweal.jobfile import InvalidJobFile
from commonweal.jobtemplates import SCHEMA_FILE, Draft, Kind, write_job_file, write_schema


class FileExists(Conflict):
    code = "file-exists"


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The job file to write.")],
    kind: Annotated[Kind | None, typer.Option(help="What the data are.")] = None,
    name: Annotated[str | None, typer.Option(help="What the job is called.")] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Shape of a sample: 30 for a row, 1x28x28 for a picture."),
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="How many labels.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 20,
    price: Annotated[int, typer.Option(min=1, help="Tokens per round, at most.")] = 100,
    stake: Annotated[int, typer.Option(min=1, help="Tokens that a member puts at risk.")] = 100,
    window: Annotated[int, typer.Option(min=1, help="Seconds to train, and to judge.")] = 3600,
) -> None:
    """Write a job file from a template, asking for what no option says.

    Beside it job.schema.json, with which editors complete and check the file.
    """
    if file.exists():
        raise FileExists(f"{file} exists and is left as it is", path=str(file))
    kind = kind or typer.prompt("Data: tabular or images", type=Kind, default="tabular", err=True)
    name = name or typer.prompt("Name of the job", err=True)
    shape = features or typer.prompt("Shape of a sample (30, or 1x28x28)", err=True)
    labels = classes or typer.prompt("Number of labels", type=int, err=True)
    draft = Draft(Kind(kind), name, parse_shape(shape), labels, rounds, price, stake, window)
    escrow = draft.file.escrow
    file.write_text(write_job_file(draft), encoding="utf-8")
    (file.parent / SCHEMA_FILE).write_text(write_schema(), encoding="utf-8")
    typer.echo(f"{file} is written; its escrow is {escrow / 10**18:g} tokens. Next:")
    typer.echo(f"  weal job estimate {file}")
    typer.echo(f"  weal job submit {file} --keystore KEYSTORE")


def schema() -> None:
    """Print the JSON Schema of job files."""
    typer.echo(write_schema(), nl=False)


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x28x28` or `30`. Raises InvalidJobFile."""
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        message = f"{text!r} is no shape: whole numbers with x between, as in 1x28x28"
        raise InvalidJobFile(message, field="data.features")
    return tuple(int(part) for part in parts)
