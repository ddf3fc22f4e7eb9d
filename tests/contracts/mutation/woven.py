"""Compiles the contracts once with every mutant in them; switches one on in the compiled code."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .generator import Mutation
from .targets import DEPLOYED
from .weave import Woven, weave

FIRST = 10_000  # beyond every version the compiler could name
SWITCH = "contracts/Switch.sol"
UNASSIGNED = "can be returned without prior assignment"  # of the compiler's message


class CompilerSilent(Exception):
    """The compiler refuses the woven sources, and no mutant stands where it points."""


@dataclass
class Loom:
    """`copy`: the project with woven sources. `left`: mutants that a switch cannot express."""

    project: Path
    copy: Path
    numbers: dict[int, Mutation] = field(default_factory=dict)
    left: list[Mutation] = field(default_factory=list)

    def build(self, mutations: Iterable[Mutation], artifacts: Path) -> None:
        """Compiled code of all contracts, no mutant switched on, goes to `artifacts`."""
        self._copy_project()
        for number, mutation in enumerate(mutations, FIRST):
            if not _can_be_woven(mutation):
                self.left.append(mutation)
            else:
                self.numbers[number] = mutation
        while errors := self._compile(self._write(), artifacts):
            self._leave_out(errors)

    def _copy_project(self) -> None:
        shutil.copytree(self.project / "contracts", self.copy / "contracts")
        shutil.copy(Path(__file__).with_name("Switch.sol"), self.copy / SWITCH)
        for name in ("hardhat.config.js", "package.json"):
            shutil.copy(self.project / name, self.copy)
        (self.copy / "node_modules").symlink_to((self.project / "node_modules").resolve())

    def _write(self) -> dict[str, Woven]:
        written = {}
        for file in {mutation.file for mutation in self.numbers.values()}:
            changes = {n: each.change for n, each in self.numbers.items() if each.file == file}
            switch = "../Switch.sol" if file.count("/") == 2 else "./Switch.sol"
            written[file] = weave((self.project / file).read_bytes(), changes, switch)
            (self.copy / file).write_bytes(written[file].text)
        return written

    def _compile(self, written: Mapping[str, Woven], artifacts: Path) -> set[int]:
        """The numbers of mutants that do not compile; none: the code is there."""
        script = Path(__file__).with_name("compile.mjs")
        command = ["node", str(script), str(artifacts.resolve()), *DEPLOYED]
        done = subprocess.run(command, cwd=self.copy, capture_output=True, text=True, check=True)
        errors = json.loads(done.stdout)
        unassigned = [each for each in errors if UNASSIGNED in each["message"]]
        culprits = {number for each in unassigned or errors for number in _find(written, each)}
        if errors and not culprits:
            raise CompilerSilent(errors[0]["message"])
        return culprits

    def _leave_out(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.left.append(self.numbers.pop(number))


def _can_be_woven(mutation: Mutation) -> bool:
    """A constructor does not run in the code whose end the switches read."""
    return mutation.change.form != "modifier" and mutation.function != "constructor"


def _find(written: Mapping[str, Woven], error: Mapping[str, object]) -> set[int]:
    woven = written.get(str(error["file"]))
    if woven is None:
        return set()
    if UNASSIGNED in str(error["message"]):
        return woven.unassigned(int(str(error["start"])))
    return woven.culprits((int(str(error["start"])), int(str(error["end"]))))


@dataclass(frozen=True)
class Cloth:
    """`artifacts`: the compiled contracts. `numbers`: the mutants in them."""

    artifacts: Path
    numbers: Mapping[tuple[str, str, str, str, int], int]

    def number_of(self, mutation: Mutation) -> int | None:
        """None: this one has to be compiled alone."""
        return self.numbers.get(mutation.key)


def weave_all(mutations: Sequence[Mutation], project: Path, folder: Path) -> Cloth:
    """From `folder` if it was woven there before from the same sources; minutes otherwise."""
    artifacts, done = folder / "artifacts", folder / "woven"
    key = hash_sources(project)
    if not done.exists() or done.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "project").mkdir(parents=True)
        Loom(project, folder / "project").build(mutations, artifacts)
        done.write_text(key)
    text = "".join(path.read_text() for path in (folder / "project/contracts").rglob("*.sol"))
    woven = {int(number) for number in re.findall(r"mutantIsOn\((\d+)\)", text)}
    numbers = {
        each.key: number
        for number, each in enumerate(mutations, FIRST)
        if number in woven and _can_be_woven(each)
    }
    return Cloth(artifacts, numbers)


def hash_sources(project: Path) -> str:
    """Of all that decides what is woven."""
    here = Path(__file__).parent
    own = [here / name for name in ("Switch.sol", "generator.py", "operators.py", "weave.py")]
    paths = [*project.glob("contracts/**/*.sol"), *own]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def switch_on(number: int, names: Sequence[str], woven: Path, artifacts: Path) -> None:
    """The contracts' code with this one mutant in force, in `artifacts`."""
    for name in names:
        place = Path(f"{name}.sol") / f"{name}.json"
        code = json.loads((woven / place).read_text())["bytecode"]
        (artifacts / place).parent.mkdir(parents=True, exist_ok=True)
        (artifacts / place).write_text(json.dumps({"bytecode": switched(code, number)}))


def switched(code: str, number: int) -> str:
    """Raises ValueError unless the code ends as solc's metadata without a hash do."""
    head, version, tail = code[:-10], code[-10:-4], code[-4:]
    if not head.endswith("64736f6c6343") or tail != "000a" or not 0 < number < 1 << 24:
        raise ValueError(f"no place for the number {number} in …{code[-28:]} (version {version})")
    return f"{head}{number:06x}{tail}"
