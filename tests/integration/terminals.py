"""Programs on a pseudo-terminal, read as a person reads them: by what stands on the screen."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

import pexpect
import pyte

COLUMNS, LINES = 120, 45


@dataclass
class Terminal:
    """A program and the screen it draws on, as a person would see it; every look is kept."""

    child: pexpect.spawn
    screen: pyte.Screen
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    def read(self) -> bool:
        """Whether more may come: what a program wrote can be read after its end, too."""
        try:
            self._stream.feed(self.child.read_nonblocking(65_536, timeout=0.05))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            self.child.wait()
            return False
        self.seen.append("\n".join(self.screen.display))
        return True

    def saw(self, pattern: str) -> bool:
        self.read()
        return any(re.search(pattern, look) for look in self.seen)

    def read_to_end(self) -> int:
        """The exit status; what the screen shows last is in `screen`."""
        while self.read():
            pass
        return int(self.child.exitstatus)


def open_terminal(*command: str, columns: int = COLUMNS, cwd: str | None = None) -> Terminal:
    child = pexpect.spawn(
        command[0],
        list(command[1:]),
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm-256color"},
        dimensions=(LINES, columns),
    )
    return Terminal(child, pyte.Screen(columns, LINES))
