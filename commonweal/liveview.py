"""What live views of terminals have in common: drawn while they are entered, renewed in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

_PER_SECOND = 4


class LiveView(AbstractContextManager["LiveView"], ABC):
    def __init__(self, console: Console) -> None:
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=_PER_SECOND
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    @abstractmethod
    def render(self) -> RenderableType:
        """As it looks now; called from a thread of its own, several times a second."""
