"""The `weal` command: jobs, models, verification, deployment, and the local network."""

from commonweal.cli.app import main

__all__ = ["main"]
