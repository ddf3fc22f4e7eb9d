"""What the middleware lets through to the JSON parser."""

from __future__ import annotations

import json
import time

import pytest

from service.api.limits import MAX_DEPTH, is_too_deep


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", False),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, False),
        (b"[" * (MAX_DEPTH + 1), True),
        (b'{"a":' * (MAX_DEPTH + 1), True),
        (b"[[]" * 1000, True),
        (b"[]," * 1000, False),
        (json.dumps(["[" * 1000, 'quote " and \\ then ' + "{" * 1000]).encode(), False),
        (b'["\\\\",' + b"[" * 5000, True),
        (b'["\\"",' + b"[" * 5000, True),
        (('["\\"",' + "[" * 5000).encode("utf-16"), True),
        (('["\\"' + "[" * 5000 + '"]').encode("utf-32-le"), False),
        (b"\xff" + b"[" * 5000, False),
        (b'"an open string ' + b"[" * 1000, False),
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes, expected: bool) -> None:
    assert is_too_deep(body) is expected


def measure(body: bytes) -> float:
    times = []
    for _ in range(5):
        start = time.thread_time()  # not the clock: other processes work too
        is_too_deep(body)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("part", [b'"\\\\', b'"\\', b'"', b"\\"])
def test_time_grows_with_the_body_and_not_with_its_square(part: bytes) -> None:
    """Sixteen times the body: 16 if linear, 256 if quadratic."""
    assert measure(part * 64_000) / measure(part * 4_000) < 100
