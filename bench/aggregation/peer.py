"""Runs inside the peers' own environment: aggregates files by flwr's or byzfl's own functions.

A line of JSON in, a line of JSON out. Imports nothing of ours.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def load(files: list[str], params: int) -> Any:
    stack = np.empty((len(files), params), np.float32)
    for row, path in zip(stack, files, strict=True):
        row[:] = np.fromfile(path, np.float32)
    return stack


def flower(rule: str, stack: Any, scores: list[int], attackers: int) -> Callable[[], Any]:
    from flwr.server.strategy import aggregate as flwr  # type: ignore[import-not-found,unused-ignore]

    first, second = stack.shape[1] * 6 // 10, stack.shape[1] * 9 // 10
    results = [
        ([row[:first], row[first:second], row[second:]], score)
        for row, score in zip(stack, scores, strict=True)
    ]
    equal = [(layers, 1) for layers, _ in results]
    kept = len(results) - attackers
    rules: dict[str, Callable[[], Any]] = {
        "weighted-mean": lambda: flwr.aggregate(results),
        "mean": lambda: flwr.aggregate(equal),
        "median": lambda: flwr.aggregate_median(equal),
        "trimmed-mean": lambda: flwr.aggregate_trimmed_avg(equal, attackers / len(equal)),
        "krum": lambda: flwr.aggregate_krum(equal, attackers, 0),
        "multi-krum": lambda: flwr.aggregate_krum(equal, attackers, kept),
    }
    return rules[rule]


def byzfl(rule: str, stack: Any, attackers: int) -> Callable[[], Any]:
    import byzfl  # type: ignore[import-not-found,unused-ignore]

    if rule == "neighbours+trimmed-mean":
        mix, trim = byzfl.NNM(f=attackers), byzfl.TrMean(f=attackers)
        return lambda: trim(mix(stack))
    rules: dict[str, Callable[[], Any]] = {
        "mean": byzfl.Average,
        "median": byzfl.Median,
        "trimmed-mean": lambda: byzfl.TrMean(f=attackers),
        "krum": lambda: byzfl.Krum(f=attackers),
        "multi-krum": lambda: byzfl.MultiKrum(f=attackers),
        "geometric-median": lambda: byzfl.GeometricMedian(nu=1e-6, T=8),
        "centred-clipping": lambda: byzfl.CenteredClipping(m=None, L=8, tau=1e3),
    }
    combine = rules[rule]()
    return lambda: combine(stack)


def flatten(result: Any) -> Any:
    return np.concatenate(result) if isinstance(result, list) else np.asarray(result)


def serve() -> None:
    first = json.loads(sys.stdin.readline())
    stack = load(first["files"], first["params"])
    print(json.dumps({"loaded": len(stack)}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["peer"] == "flwr":
            run = flower(asked["rule"], stack, first["scores"], asked["attackers"])
        else:
            run = byzfl(asked["rule"], stack, asked["attackers"])
        began, cpu_before = time.perf_counter(), time.process_time()
        result = run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_before
        sample = flatten(result)[:: max(1, stack.shape[1] // 100)]
        print(json.dumps({"seconds": seconds, "cpu": cpu, "sample": sample.tolist()}), flush=True)


if __name__ == "__main__":
    serve()
