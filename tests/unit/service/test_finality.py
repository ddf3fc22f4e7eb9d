from types import SimpleNamespace
from typing import Any

import pytest

from service.services import Services


@pytest.mark.parametrize(
    ("head", "block", "final"),
    [(100, 88, True), (100, 89, False), (5, 0, False), (None, 0, False)],
)
def test_a_block_is_final_once_it_is_deep_enough(head: int | None, block: int, final: bool) -> None:
    at = None if head is None else SimpleNamespace(number=head)
    services: Any = SimpleNamespace(
        engine=SimpleNamespace(head=at), settings=SimpleNamespace(finality=12)
    )
    assert Services.is_final(services, block) is final
