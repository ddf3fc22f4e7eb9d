"""Options that several commands share; each can be given by an environment variable too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from commonweal.adapters.chain import ChainReader

Url = Annotated[
    str, typer.Option("--url", envvar="WEAL_URL", help="The coordinator's address, http://…")
]
Rpc = Annotated[
    str, typer.Option("--rpc", envvar="WEAL_RPC", help="JSON-RPC address of the chain.")
]
DeploymentFile = Annotated[
    Path,
    typer.Option("--deployment", envvar="WEAL_DEPLOYMENT", help="Addresses file of the contracts."),
]
Keystore = Annotated[
    Path, typer.Option("--keystore", envvar="WEAL_KEYSTORE", help="Encrypted key file.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="WEAL_PASSWORD_FILE",
        help="File whose first line is the password; asked for if not given.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else there.")]
JobNumber = Annotated[int, typer.Argument(metavar="JOB", min=1, help="The job's number.")]

MaxModelBytes = Annotated[
    int,
    typer.Option(min=1, help="Touch no larger model: 4 bytes per parameter. Default: 4 GiB."),
]

DEFAULT_URL = "http://127.0.0.1:8750"
DEFAULT_MAX_MODEL_BYTES = 4 * 2**30
DEFAULT_RPC = "http://127.0.0.1:8545"
DEFAULT_DEPLOYMENT = Path("deployment.json")


def read_password_option(file: Path | None, *, confirm: bool = False) -> str:
    from commonweal.adapters.keystore import read_password

    if file is not None:
        return read_password(file)
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return password


def open_account(keystore: Path, password_file: Path | None) -> LocalAccount:
    from commonweal.adapters.keystore import load_account

    return load_account(keystore, read_password_option(password_file))


def open_chain(rpc: str, deployment: Path) -> ChainReader:
    """Raises WrongChain when the RPC serves another chain than the addresses file is for."""
    from commonweal.adapters.chain import ChainReader
    from commonweal.adapters.deployment import load_deployment

    reader = ChainReader(rpc, load_deployment(deployment))
    _ = reader.chain_id
    return reader
