"""`weal-coordinator run | reindex | migrate`: the only part that knows exit statuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from commonweal.errors import CommonwealError
from service.logs import configure_logs
from service.settings import Settings, load_settings

app = typer.Typer(
    help="Relays signed messages, follows the chain, moves jobs on and serves both over HTTP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path | None, typer.Option(help="YAML file with any of the settings.")]
RpcUrl = Annotated[
    list[str] | None,
    typer.Option(help="JSON-RPC of the chain; several: the first that answers is used."),
]
DeploymentFile = Annotated[Path | None, typer.Option(help="Addresses file of the contracts.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL; default: coordinator.db in the data directory.")
]
DataDir = Annotated[Path | None, typer.Option(help="Database, content and the endpoint file.")]


@app.command()
def run(
    config: Config = None,
    rpc_url: RpcUrl = None,
    heads_url: Annotated[
        str | None, typer.Option(help="WebSocket of the same chain, to be told of new blocks.")
    ] = None,
    deployment: DeploymentFile = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    keystore: Annotated[Path | None, typer.Option(help="Key that pays for transactions.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Opens the keystore.")] = None,
    more_keystores: Annotated[
        list[Path] | None, typer.Option(help="More keys that send, with the same password.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    hosts: Annotated[
        list[str] | None, typer.Option(help="Names, with ports, in the URLs that others dial.")
    ] = None,
    finality: Annotated[int | None, typer.Option(help="Blocks until one is trusted.")] = None,
    poll_interval: Annotated[float | None, typer.Option(help="Seconds between looks.")] = None,
    relay_delay: Annotated[float | None, typer.Option(help="Seconds a batch waits.")] = None,
    content_bytes: Annotated[int | None, typer.Option(help="Quota of the content store.")] = None,
    content_reserve: Annotated[
        int | None, typer.Option(help="Bytes of its disk that uploads leave free.")
    ] = None,
    content_grace: Annotated[
        float | None, typer.Option(help="Seconds that uploads the chain does not name are safe.")
    ] = None,
    min_coordinator_share_bps: Annotated[
        int | None, typer.Option(help="Jobs that pay less are not relayed.")
    ] = None,
    replace_after: Annotated[
        float | None, typer.Option(help="Seconds until the fees of what is not mined are raised.")
    ] = None,
    followers: Annotated[int | None, typer.Option(help="Readers of event streams at once.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.")] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Every option is also WEAL_COORDINATOR_… in the environment."""
    from service.server import serve

    options = {name: value for name, value in locals().items() if name not in ("config", "serve")}
    settings = load_settings(config, options)
    configure_logs(settings.log_format)
    serve(settings)


@app.command()
def reindex(
    config: Config = None,
    rpc_url: RpcUrl = None,
    deployment: DeploymentFile = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Forget what was indexed and read the chain again; messages and transactions stay.

    The coordinator must not be running meanwhile.
    """
    options: dict[str, Any] = dict(locals())
    settings = load_settings(options.pop("config"), options)
    configure_logs("console")
    typer.echo(f"{_reindex(settings)} events indexed")


@app.command()
def migrate(
    config: Config = None, database_url: DatabaseUrl = None, data_dir: DataDir = None
) -> None:
    """Bring the database's tables to the present form; `run` does it by itself."""
    from service.database import migrate as migrate_database
    from service.database import open_engine

    options = {"database_url": database_url, "data_dir": data_dir}
    settings = load_settings(config, options)
    engine = open_engine(settings.database)
    migrate_database(engine)
    typer.echo(f"{engine.url.render_as_string()} is up to date")


def main() -> None:
    try:
        app()
    except CommonwealError as error:
        typer.echo(f"{error.code}: {error.message}", err=True)
        sys.exit(1)


def _reindex(settings: Settings) -> int:
    from commonweal.adapters.chain import ChainReader
    from commonweal.adapters.deployment import load_deployment
    from service.chainstore import count_events
    from service.indexer import Indexer
    from service.leadership import AnotherLeads, open_leadership
    from service.services import open_chain_store

    deployment = load_deployment(settings.deployment)
    reader = ChainReader(settings.rpc_url, deployment)
    database, store = open_chain_store(settings, reader)
    leadership = open_leadership(database)
    if not leadership.hold():
        raise AnotherLeads("a coordinator works on this database: stop it first")
    store.clear()
    indexer = Indexer(reader, store, first_block=deployment.deployed_block)
    while (step := indexer.step()) is None or not step.is_complete:
        pass
    leadership.release()
    return count_events(database)
