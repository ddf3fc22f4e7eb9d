"""Compares what slither finds in the contracts with the findings that are explained.

A finding nobody explained fails, and so does an explanation of something that is no longer found.
Run by `make slither`, which builds with forge first.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

EXPLAINED = Path(__file__).with_name("findings.toml")
COMMAND = (
    "--foundry-ignore-compile",
    "--foundry-out-directory",
    ".tools/out/slither",
    "--filter-paths",
    "(node_modules|tests)/",
    "--json",
    "-",
)

Finding = tuple[str, str]  # detector, place: `Contract.function` or `Contract.function.variable`


def main(slither: str) -> int:
    explained = load_explained(EXPLAINED)
    found = find(slither)
    unexplained, vanished = compare(found, explained)
    for finding in unexplained:
        print(f"NOT EXPLAINED {' '.join(finding)}\n{found[finding]}")
    for finding in vanished:
        print(f"NO LONGER FOUND {' '.join(finding)}")
    print(
        f"slither: {len(found)} places found, {len(unexplained)} of them not explained, "
        f"{len(vanished)} explained that are no longer found"
    )
    return 1 if unexplained or vanished else 0


def compare(
    found: Iterable[Finding], explained: Iterable[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """What is not explained, and what is explained but not found."""
    have, known = set(found), set(explained)
    unexplained = {each for each in have if not any(is_match(each, other) for other in known)}
    vanished = {each for each in known if not any(is_match(other, each) for other in have)}
    return sorted(unexplained), sorted(vanished)


def is_match(finding: Finding, explanation: Finding) -> bool:
    return finding[0] == explanation[0] and fnmatchcase(finding[1], explanation[1])


def load_explained(path: Path) -> dict[Finding, str]:
    """The reason for each."""
    reasons: dict[Finding, str] = {}
    for entry in tomllib.loads(path.read_text())["explained"]:
        if not entry["reason"].strip():
            raise ValueError(f"no reason: {entry}")
        for place in entry["places"]:
            reasons[entry["detector"], place] = entry["reason"]
    return reasons


def find(slither: str) -> dict[Finding, str]:
    """Slither's description of each finding."""
    done = subprocess.run([slither, ".", *COMMAND], capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    answer = json.loads(done.stdout)
    if not answer["success"]:
        raise RuntimeError(answer["error"])
    detected = answer["results"]["detectors"]
    return {
        (each["check"], place_of(each["elements"][0])): each["description"] for each in detected
    }


def place_of(element: dict[str, Any]) -> str:
    names = [element["name"]]
    while "type_specific_fields" in element and "parent" in element["type_specific_fields"]:
        element = element["type_specific_fields"]["parent"]
        if element["type"] in ("function", "contract"):
            names.append(element["name"])
    return ".".join(reversed(names))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
