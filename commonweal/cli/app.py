"""The `weal` command's tree, and how errors become exit statuses.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import structlog
import typer

from commonweal.cli import appeals, jobs, models, network, verification
from commonweal.cli.output import EXIT_FAILED, EXIT_HELP, print_error
from commonweal.errors import CommonwealError

app = typer.Typer(
    name="weal",
    help="Commonweal: train models together without trusting each other.",
    epilog=EXIT_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(jobs.app, name="job")
app.add_typer(models.app, name="model")
app.add_typer(appeals.app, name="appeal")
app.add_typer(network.keystore_app, name="keystore")
app.command("verify")(verification.verify)
app.command("deploy")(network.deploy)
app.command("fund")(network.fund)
app.command("dev")(network.dev)
app.command("demo")(network.demo)
app.command("stop")(network.stop)


def main(arguments: Sequence[str] | None = None) -> None:
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    _quieten_logs()
    try:
        app(list(arguments) if arguments is not None else None, prog_name="weal")
    except CommonwealError as error:
        return print_error(error)
    except OSError as error:
        sys.stderr.write(f"error[io]: {error}\n")
        return EXIT_FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    return 0


def _quieten_logs() -> None:
    """Only errors, and on stderr: stdout is for results."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
