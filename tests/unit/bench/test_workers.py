"""The processes that benches run in."""

import numpy as np
from threadpoolctl import threadpool_info

from bench.workers import open_pool


def count_threads() -> set[int]:
    import torch

    assert np.ones(3) @ np.ones(3) == 3  # its library is loaded
    return {torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())}


def test_each_uses_one_thread_in_every_library() -> None:
    with open_pool(1) as pool:
        assert pool.submit(count_threads).result() == {1}
