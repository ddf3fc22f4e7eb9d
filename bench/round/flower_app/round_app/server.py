"""Flower's federated averaging, with the wall clock noted whenever a round is aggregated."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from flwr.app import ArrayRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from round_app.task import FOLDER, build_model, load_task

app = ServerApp()


class Stamped(FedAvg):
    """Writes one line per round: number, epoch seconds, replies."""

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        received = list(replies)
        result = super().aggregate_train(server_round, received)
        good = sum(not reply.has_error() for reply in received)
        with (FOLDER / "stamps").open("a") as file:
            file.write(f"{server_round} {time.time()} {good}\n")
        return result


@app.main()
def main(grid: Grid, context: Context) -> None:
    task = load_task()
    strategy = Stamped(
        fraction_evaluate=0.0,
        min_train_nodes=task["trainers"],
        min_available_nodes=task["trainers"],
    )
    model = ArrayRecord(build_model(task).state_dict())
    strategy.start(grid=grid, initial_arrays=model, num_rounds=task["rounds"])
