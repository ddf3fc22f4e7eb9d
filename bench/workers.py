"""How benches use several cores: a process per run, each with one thread."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


def open_pool(processes: int) -> ProcessPoolExecutor:
    """Threads of runs that go on side by side would wait for each other."""
    return ProcessPoolExecutor(processes, initializer=_use_one_thread)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    threadpool_limits(1)
