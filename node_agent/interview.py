"""What `weal-node init` asks a person: each answer is checked when it is given, and asked again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import load_deployment
from commonweal.adapters.rpc import ChainUnavailable
from commonweal.errors import CommonwealError
from node_agent.config import Url
from node_agent.errors import SetupIncomplete
from node_agent.setup import describe_data

_URL: TypeAdapter[str] = TypeAdapter(Url)
_ROLES = {"both": ("trainer", "validator"), "trainer": ("trainer",), "validator": ("validator",)}
_DEFAULT_LABEL = "label"


@dataclass(frozen=True, slots=True)
class Answers:
    """What options said; None where they did not."""

    data_dir: Path | None
    rpc_url: str | None
    deployment: Path | None
    data: str | None
    label: str | None
    coordinators: list[str] | None
    roles: list[str] | None
    owner: Path | None


@dataclass(frozen=True, slots=True)
class Complete:
    data_dir: Path
    rpc_url: str
    deployment: Path
    data: str
    label: str
    coordinators: tuple[str, ...]
    roles: tuple[str, ...]
    owner: Path | None


def complete(given: Answers, *, may_ask: bool) -> Complete:
    """With all that must be given, nothing is asked: scripts know what they want.

    Raises SetupIncomplete if there is nobody to ask.
    """
    must: dict[str, object] = {"--data-dir": given.data_dir, "--rpc-url": given.rpc_url}
    must |= {"--deployment": given.deployment}
    missing = [name for name, value in must.items() if value is None]
    if missing and not may_ask:
        message = f"{', '.join(missing)} missing, and this is no terminal to ask on"
        raise SetupIncomplete(message, missing=missing)
    return _ask(given) if missing else _fill(given)


def _fill(given: Answers) -> Complete:
    assert given.data_dir is not None
    assert given.rpc_url is not None
    assert given.deployment is not None
    return Complete(
        given.data_dir,
        given.rpc_url,
        given.deployment,
        given.data or "digits",
        given.label or _DEFAULT_LABEL,
        tuple(given.coordinators or ()),
        tuple(given.roles or _ROLES["both"]),
        given.owner,
    )


def _ask(given: Answers) -> Complete:
    data_dir = given.data_dir or Path(_prompt("Folder of the node", check_new_folder, "my-node"))
    deployment = given.deployment or Path(
        _prompt("Addresses file of the contracts", check_deployment, "deployment.json")
    )
    rpc_url = given.rpc_url or _prompt(
        "JSON-RPC address of the chain",
        lambda url: check_chain(url, deployment),
        "http://127.0.0.1:8545",
    )
    coordinators = given.coordinators
    if coordinators is None:
        url = _prompt("A coordinator's address (none: Enter)", check_optional_url, "")
        coordinators = [url] if url else []
    data = given.data or _prompt(
        "Training data: digits, a .csv, .parquet, .npz or IDX file, or a folder of pictures",
        check_data,
        "digits",
    )
    label = given.label or _ask_label(data)
    roles = given.roles or _ROLES[_prompt("Work: both, trainer or validator", check_roles, "both")]
    owner = given.owner
    if owner is None:
        text = "Owner's key file, made if it does not exist (-: the key is elsewhere)"
        name = _prompt(text, str.strip, "owner.json")
        owner = Path(name) if name else None
    return Complete(
        data_dir, rpc_url, deployment, data, label, tuple(coordinators), tuple(roles), owner
    )


def _prompt(text: str, check: Callable[[str], str], default: str) -> str:
    """`check` returns the answer as it is kept, or raises typer.BadParameter: then it asks again.

    A lone `-` is an empty answer where the default is not.
    """
    answer: str = typer.prompt(
        text,
        default=default,
        show_default=bool(default),
        value_proc=lambda given: check("" if given.strip() == "-" else given.strip()),
        err=True,
    )
    return answer


def check_new_folder(text: str) -> str:
    if not text or (Path(text) / "node.yaml").exists():
        raise typer.BadParameter("there is a node in that folder" if text else "name a folder")
    return text


def check_deployment(text: str) -> str:
    try:
        load_deployment(Path(text))
    except (CommonwealError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    return text


def check_chain(text: str, deployment: Path) -> str:
    """The chain of the contracts; one that does not answer now may later."""
    _check_url(text)
    try:
        _ = ChainReader(text, load_deployment(deployment)).chain_id
    except ChainUnavailable:
        typer.echo(f"{text} does not answer now; `weal-node doctor` asks again.", err=True)
    except CommonwealError as error:
        raise typer.BadParameter(error.message) from error
    return text


def check_optional_url(text: str) -> str:
    return _check_url(text) if text else ""


def check_roles(text: str) -> str:
    if text not in _ROLES:
        raise typer.BadParameter(f"one of {', '.join(_ROLES)}")
    return text


def check_data(text: str) -> str:
    try:
        describe_data(text, _DEFAULT_LABEL)
    except CommonwealError as error:
        raise typer.BadParameter(error.message) from error
    if text != "digits" and not Path(text).exists():
        raise typer.BadParameter(f"there is no {text}")
    return text


def _check_url(text: str) -> str:
    try:
        return _URL.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter("an address is http://… or https://…") from error


def _ask_label(data: str) -> str:
    """The column of a table; nothing is asked about other data."""
    suffix = Path(data).suffix
    if suffix not in (".csv", ".parquet"):
        return _DEFAULT_LABEL
    columns = _read_header(Path(data)) if suffix == ".csv" else []
    default = _DEFAULT_LABEL if _DEFAULT_LABEL in columns or not columns else columns[-1]

    def check(text: str) -> str:
        if columns and text not in columns:
            raise typer.BadParameter(f"the columns are {', '.join(columns)}")
        return text

    return _prompt("Column with the labels", check, default)


def _read_header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])
