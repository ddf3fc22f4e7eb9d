"""The `weal` command's tree, and how errors become exit statuses.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click
import structlog
import typer

from commonweal.cli import jobs, models, network, verification
from commonweal.cli.output import EXIT_FAILED, EXIT_HELP, EXIT_INTERRUPTED, print_error
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
app.add_typer(network.keystore_app, name="keystore")
app.command("verify")(verification.verify)
app.command("deploy")(network.deploy)
app.command("dev")(network.dev)
app.command("demo")(network.demo)
app.command("stop")(network.stop)


def main(arguments: Sequence[str] | None = None) -> None:
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    _quieten_logs()
    try:
        status = app(list(arguments) if arguments is not None else None, standalone_mode=False)
    except CommonwealError as error:
        return print_error(error)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error[io]: {error}\n")
        return EXIT_FAILED
    return status if isinstance(status, int) else 0


def _quieten_logs() -> None:
    """Only warnings, and on stderr: stdout is for results."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
