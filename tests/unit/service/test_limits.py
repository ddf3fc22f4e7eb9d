"""What the middleware lets through to the JSON parser."""

from __future__ import annotations

import json

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
        (b'"an open string ' + b"[" * 1000, True),
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes, expected: bool) -> None:
    assert is_too_deep(body) is expected
