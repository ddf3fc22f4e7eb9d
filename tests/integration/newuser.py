"""The commands that README and guides show, run as they stand there on a pseudo-terminal.

Only what the pages leave to the reader is filled in: addresses, a funded key, answers to prompts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PATIENCE = 240  # seconds for one command, on a busy machine
_SECRET = "a new user's secret"  # of keys made in the test
_ANSWERS = {
    "Data: tabular or images": "tabular",
    "Name of the job": "patients",
    "Shape of a sample": "2",
    "Number of labels": "2",
}
_STAYS = re.compile(r"weal-node run ")  # until the page ends
_STARTED = "node runs"


def read_lines(page: Path) -> list[str]:
    """Every command of the page's console blocks, continuation lines joined."""
    blocks = _BLOCK.findall(page.read_text())
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+", " ", line).strip() for line in lines if line.strip()]


def strip_comment(line: str) -> str:
    return shlex.join(shlex.split(line, comments=True))


@dataclass
class NewUser:
    """Somebody in an empty folder with a clone's examples, their own rows, and funded money."""

    folder: Path
    rpc: str
    url: str
    deployment: Path
    funded: Path  # keystore; its password's file is beside it
    environment: dict[str, str] = field(default_factory=dict)
    running: list[pexpect.spawn] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copy(self.deployment, self.folder / "deployment.json")
        shutil.copy(self.funded, self.folder / "FUNDED.json")
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        rows = "".join(f"{20 + age},{50 + 7 * age % 40},{age % 2}\n" for age in range(60))
        (self.folder / "patients.csv").write_text("age,weight,diagnosis\n" + rows)

    def fill_in(self, line: str) -> str:
        line = re.sub(r"(--rpc(?:-url)?) URL\b", rf"\1 {self.rpc}", line)
        line = re.sub(r"(--(?:coordinator|url)) (?:URL|COORDINATOR)\b", rf"\1 {self.url}", line)
        line = line.replace("http://127.0.0.1:8545", self.rpc)
        line = line.replace("http://127.0.0.1:8750", self.url)
        for name, keystore in {
            "OWNER_ADDRESS": "owner.json",
            "OPERATOR_ADDRESS": "my-node/operator.json",
            "REQUESTER_ADDRESS": "requester.json",
        }.items():
            if name in line:
                line = line.replace(name, self._address(keystore))
        return line

    def run(self, line: str) -> tuple[int, str]:
        """Exit status and what the terminal showed; what stays is left running, and has none."""
        child = pexpect.spawn(
            "bash",
            ["-c", self.fill_in(line)],
            cwd=str(self.folder),
            env=os.environ | self.environment | {"TERM": "xterm", "COLUMNS": "200"},
            timeout=_PATIENCE,
            encoding="utf-8",
            codec_errors="replace",
        )
        if _STAYS.match(line):
            child.expect_exact(_STARTED)
            self.running.append(child)
            return 0, child.before
        return self._converse(child, self.funded if "FUNDED.json" in line else None)

    def _converse(self, child: pexpect.spawn, funded: Path | None) -> tuple[int, str]:
        shown = ""
        secret = funded.with_suffix(".password").read_text().strip() if funded else _SECRET
        questions = [pexpect.EOF, r"(?i)(repeat|password)[^\n]*: ", *map(re.escape, _ANSWERS)]
        while (which := child.expect(questions)) != 0:
            shown += child.before + child.after
            if which > 1:
                child.sendline(list(_ANSWERS.values())[which - 2])
            else:
                child.sendline(secret)
        child.close()
        return int(child.exitstatus), shown + child.before

    def _address(self, keystore: str) -> str:
        return "0x" + str(json.loads((self.folder / keystore).read_text())["address"]).lower()[-40:]

    def leave(self) -> list[int]:
        """Ends what stays; the exit statuses."""
        ended, self.running = self.running, []
        for child in ended:
            child.kill(signal.SIGINT)
            child.expect(pexpect.EOF)
            child.close()
        return [int(child.exitstatus) for child in ended]
