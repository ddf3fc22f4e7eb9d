"""The `weal-node` command. Results go to stdout, the rest to stderr; keys and passwords nowhere."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from commonweal.errors import CommonwealError, Conflict, InvalidInput, NotFound, Unavailable
from node_agent import inspection, preparing
from node_agent.cli_options import DEFAULT_CONFIG, ConfigFile, Json, show
from node_agent.config import load_config
from node_agent.logs import configure_logging

if TYPE_CHECKING:
    from node_agent.trainer import Trainer

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STATUS: dict[type[CommonwealError], int] = {
    InvalidInput: EXIT_USAGE,
    NotFound: 3,
    Unavailable: 4,
    Conflict: 5,
}
EPILOG = (
    "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, "
    "4 something did not answer, 5 conflict. Errors are error\\[code]: message."
)

app = typer.Typer(
    name="weal-node",
    help="Run a Commonweal node: train on data that stay here, judge others' updates, get paid.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


app.command()(preparing.init)


@app.command()
def register(
    stake: Annotated[str, typer.Option(help="Tokens, as in 100 or '5000 wei'.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Stake and register as a provider (owner's key: approves the stake, then registers)."""
    from commonweal.adapters.listening import read_endpoint
    from commonweal.protocol.types import Address, Wei
    from node_agent import owner as commands
    from node_agent.runtime import open_chain, open_operator

    settings = load_config(config)
    owner_account = commands.open_owner(settings)
    operator = Address(open_operator(settings).address)
    endpoint = settings.content.public_url or read_endpoint(settings.endpoint_file) or ""
    receipt = commands.register(
        open_chain(settings),
        owner_account,
        operator,
        settings.role_set,
        Wei(parse_amount(stake)),
        endpoint,
    )
    result = {"provider": owner_account.address, "operator": operator, "endpoint": endpoint}
    show(result | {"transaction": "0x" + receipt.tx_hash.hex()}, as_json)


@app.command()
def run(
    config: ConfigFile = DEFAULT_CONFIG,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Use no coordinator: own transactions, turns as keeper."),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Log lines only, on a terminal too.")
    ] = False,
) -> None:
    """Work: join jobs, train, judge, attest, serve content, until interrupted.

    A terminal shows phase, job, training, verdicts and earnings live below the log; elsewhere
    each event is one line of key=value pairs on stderr.
    """
    start(config, direct=direct, live=not plain)


@app.command()
def status(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """The node's provider as the chain shows it: stake, jail, jobs, gas."""
    from commonweal.protocol.types import Address
    from node_agent import owner as commands
    from node_agent.runtime import open_chain, open_operator

    settings = load_config(config)
    chain, operator = open_chain(settings), Address(open_operator(settings).address)
    provider = chain.fetch_provider(operator)
    found = commands.fetch_status(chain, provider, operator)
    if not found["registered"] and not as_json:
        typer.echo(f"NOT REGISTERED: {commands.explain_registration(provider)}")
    show(found, as_json)


app.command()(preparing.bench)
app.command()(inspection.doctor)
app.command("data")(inspection.show_data)
app.command()(inspection.earnings)
app.command()(inspection.receipts)


@app.command()
def claim(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Send all earnings to the owner, and unlock the stake of jobs that are over.

    The owner's key pays the gas if it is here, otherwise the operator's.
    """
    from commonweal.protocol.types import Address
    from node_agent import owner as commands
    from node_agent.runtime import open_chain, open_operator

    settings = load_config(config)
    payer = commands.open_owner(settings) if settings.keys.owner else open_operator(settings)
    chain = open_chain(settings)
    provider = (
        Address(payer.address)
        if settings.keys.owner
        else chain.fetch_provider(Address(payer.address))
    )
    claimed = commands.claim(chain, payer, provider)
    released = commands.release(chain, payer, provider)
    show(
        {
            "provider": provider,
            "claimed_wei": sum(item.unclaimed_wei for item in claimed),
            "jobs": [item.job for item in claimed],
            "stake_released_of_jobs": released,
        },
        as_json,
    )


@app.command()
def unbond(
    amount: Annotated[str, typer.Argument(help="Tokens, as in 100 or '5000 wei'.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Start taking free stake out (owner's key); `withdraw` works after the unbonding period."""
    from commonweal.protocol.types import Wei
    from node_agent import owner as commands
    from node_agent.runtime import open_chain

    settings = load_config(config)
    wei = Wei(parse_amount(amount))
    receipt = commands.unbond(open_chain(settings), commands.open_owner(settings), wei)
    show({"unbonding_wei": wei, "transaction": "0x" + receipt.tx_hash.hex()}, as_json)


@app.command()
def withdraw(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Take out stake whose unbonding period is over (owner's key)."""
    from node_agent import owner as commands
    from node_agent.runtime import open_chain

    settings = load_config(config)
    receipt = commands.withdraw(open_chain(settings), commands.open_owner(settings))
    show({"transaction": "0x" + receipt.tx_hash.hex()}, as_json)


@app.command()
def unjail(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Take part again after the jail's delay is over (owner's key)."""
    from node_agent import owner as commands
    from node_agent.runtime import open_chain

    settings = load_config(config)
    receipt = commands.unjail(open_chain(settings), commands.open_owner(settings))
    show({"transaction": "0x" + receipt.tx_hash.hex()}, as_json)


def start(
    config: Path, *, direct: bool, trainer: Trainer | None = None, live: bool = False
) -> None:
    """Run a node in this process until SIGINT or SIGTERM; `live`: with a view, on a terminal."""
    settings = load_config(config)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    from node_agent.livescreen import LiveScreen
    from node_agent.runtime import run_node

    console = Console(stderr=True)
    if not live or not console.is_terminal or console.is_dumb_terminal:
        run_node(settings, stop, direct=direct, trainer=trainer)
        return
    configure_logging(for_people=True)
    with LiveScreen(console) as screen:
        run_node(settings, stop, direct=direct, trainer=trainer, screen=screen)


def parse_amount(text: str) -> int:
    from commonweal.jobfile import Amount

    try:
        amount: int = TypeAdapter(Amount).validate_python(text)
    except ValidationError as error:
        raise InvalidInput(f"{text!r}: {error.errors()[0]['msg']}", amount=text) from error
    return amount


@contextmanager
def exit_with() -> Iterator[None]:
    """Logs to stderr; errors become one line there and an exit status."""
    configure_logging()
    try:
        yield
    except CommonwealError as error:
        sys.stderr.write(f"error[{error.code}]: {error.message}\n")
        statuses = (EXIT_STATUS[kind] for kind in EXIT_STATUS if isinstance(error, kind))
        sys.exit(next(statuses, EXIT_FAILED))
    except OSError as error:
        sys.stderr.write(f"error[io]: {error}\n")
        sys.exit(EXIT_FAILED)


def main(arguments: Sequence[str] | None = None) -> None:
    with exit_with():
        app(list(arguments) if arguments is not None else None)
