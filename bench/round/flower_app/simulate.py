"""The same app in Flower's simulation engine, one core per client, in this process and Ray's."""

from __future__ import annotations

from flwr.simulation import run_simulation
from round_app.client import app as client
from round_app.server import app as server
from round_app.task import load_task

if __name__ == "__main__":
    run_simulation(
        server,
        client,
        num_supernodes=load_task()["trainers"],
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
