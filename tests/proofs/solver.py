"""Solves one SMT-LIB file for halmos: yices and cvc5 side by side, the first that knows wins.

yices is quick with bits; cvc5, which here reads them as integers, with products and quotients.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

SECONDS = 60


def solve_with_cvc5(file: str) -> None:
    import cvc5  # type: ignore[import-not-found]

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("solve-bv-as-int", "sum")
    solver.setOption("produce-models", "true")
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, file)
    while not (command := parser.nextCommand()).isNull():
        print(command.invoke(solver, parser.getSymbolManager()), end="", flush=True)


def define_arithmetic(query: str) -> str:
    """Products and quotients as they are: halmos first asks with unknown functions instead."""
    for name, body in (
        ("mul", "(bvmul x y)"),
        ("udiv", "(ite (= y (_ bv0 N)) (_ bv0 N) (bvudiv x y))"),
        ("urem", "(ite (= y (_ bv0 N)) (_ bv0 N) (bvurem x y))"),
    ):
        query = re.sub(
            rf"\(declare-fun (f_evm_bv{name}_([0-9]+)) .*\)",
            lambda found, body=body: define(found[1], found[2], body),  # type: ignore[misc]
            query,
        )
    return query


def define(name: str, width: str, body: str) -> str:
    word = f"(_ BitVec {width})"
    return f"(define-fun {name} ((x {word}) (y {word})) {word} {body.replace('N', width)})"


def race(file: str) -> str:
    """The first answer that is `sat` or `unsat`."""
    with tempfile.TemporaryDirectory() as folder:
        query = Path(folder) / "query.smt2"
        query.write_text(define_arithmetic(Path(file).read_text()))
        yices = str(Path(sys.executable).with_name("yices-smt2"))
        racers = [
            start([yices, str(query)], Path(folder) / "yices"),
            start([sys.executable, __file__, "cvc5", str(query)], Path(folder) / "cvc5"),
        ]
        try:
            return wait_for_answer(racers)
        finally:
            for process, _ in racers:
                process.kill()
                process.wait()


Racer = tuple[subprocess.Popen[str], IO[str]]


def start(command: list[str], answer: Path) -> Racer:
    file = answer.open("w+")
    return subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, text=True), file


def wait_for_answer(racers: list[Racer]) -> str:
    deadline = time.monotonic() + SECONDS
    running = list(racers)
    while running and time.monotonic() < deadline:
        for racer in [each for each in running if each[0].poll() is not None]:
            running.remove(racer)
            racer[1].seek(0)
            answer = racer[1].read()
            if answer.startswith(("sat", "unsat")):
                return answer
        time.sleep(0.02)
    return "unknown"


if __name__ == "__main__":
    if sys.argv[1] == "cvc5":
        solve_with_cvc5(sys.argv[2])
    else:
        print(race(sys.argv[1]))
