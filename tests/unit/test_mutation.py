"""Mutation testing of the contracts: how mutants are woven and switched, what the runs found."""

import hashlib
from pathlib import Path

import pytest

from tests.contracts.mutation.generator import Mutation
from tests.contracts.mutation.operators import Change, Form
from tests.contracts.mutation.results import Results, adopt, read_results, write_results
from tests.contracts.mutation.survivors import read_explanations
from tests.contracts.mutation.targets import FILES, affected, seeing_tests
from tests.contracts.mutation.weave import weave
from tests.contracts.mutation.woven import switched

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "bench/results/mutation.json"
EXPLAINED = PROJECT / "tests/contracts/mutation/survivors.toml"
HEAD = "pragma solidity ^0.8.28;\n"
IMPORT = 'import {mutantIsOn} from "./Switch.sol";\n'


def change(source: str, scope: str, old: str, new: str, form: Form = "expression") -> Change:
    start = source.index(scope, len(HEAD))
    at = start + scope.index(old)
    return Change("test", at, at + len(old), new.encode(), (start, start + len(scope)), form)


def woven(body: str, *changes: tuple[str, str, str, Form]) -> str:
    source = HEAD + body
    mutants = {n: change(source, *each) for n, each in enumerate(changes, 1)}
    text = weave(source.encode(), mutants, "./Switch.sol").text.decode()
    assert text.startswith(HEAD + IMPORT)
    return text.removeprefix(HEAD + IMPORT)


def mutation(after: str, file: str = "contracts/A.sol") -> Mutation:
    return Mutation(file, "f", 3, "a < b", after, "< changes", 1, Change("", 0, 1, b"", (0, 1)))


def test_an_expression_gets_a_switch() -> None:
    assert woven("x = a < b;", ("a < b", "<", "<=", "expression")) == (
        "x = (mutantIsOn(1) ? (a <= b) : a < b);"
    )


def test_a_mutant_inside_an_expression_stays_out_of_the_other_mutant() -> None:
    text = woven(
        "a + b < c", ("a + b < c", "<", ">", "expression"), ("a + b", "+", "-", "expression")
    )
    assert text == "(mutantIsOn(1) ? (a + b > c) : (mutantIsOn(2) ? (a - b) : a + b) < c)"


def test_two_mutants_of_one_expression() -> None:
    text = woven("if (a)", ("a", "a", "false", "expression"), ("a", "a", "true", "expression"))
    assert text == "if ((mutantIsOn(1) ? (false) : (mutantIsOn(2) ? (true) : a)))"


def test_a_dropped_statement_leaves_an_else_where_it_was() -> None:
    text = woven("if (a) f(); else g();", ("f();", "f();", "{}", "statement"))
    assert text == "if (a) { if (mutantIsOn(1)) {} else { f(); } } else g();"


def test_literals_become_words() -> None:
    text = woven("x = 1;", ("1", "1", "2", "number"))
    assert text == "x = (mutantIsOn(1) ? uint256(2) : uint256(1));"


def test_the_mutant_that_does_not_compile_is_found() -> None:
    source = HEAD + "y = address(0); x = a < b;"
    mutants = {7: change(source, "0", "0", "1", "number"), 8: change(source, "a < b", "<", "<=")}
    made = weave(source.encode(), mutants, "./Switch.sol")
    cast = made.text.index(b"address(")
    assert made.culprits((cast, made.text.index(b"; x"))) == {7}
    compared = made.text.index(b"a <= b")
    assert made.culprits((compared, compared + 6)) == {8}
    assert made.culprits((0, 3)) == set()


def test_a_mutant_is_switched_on_in_the_compiled_code() -> None:
    code = "0x6001" + "a164736f6c6343000825000a"
    assert switched(code, 0x2711) == "0x6001" + "a164736f6c6343002711000a"
    with pytest.raises(ValueError, match="no place"):
        switched("0x600160016001600160016001", 1)
    with pytest.raises(ValueError, match="no place"):
        switched(code, 1 << 24)


def test_a_library_is_in_the_contracts_that_use_it() -> None:
    assert affected("contracts/libraries/Payments.sol") == ("Rounds",)
    assert affected("contracts/Juries.sol") == ("Appeals",)
    assert all(affected(file) for file in FILES)


def test_the_nearest_tests_come_first_and_all_that_can_see_follow() -> None:
    tests = seeing_tests("contracts/Faults.sol")
    assert tests[0] == "tests/contracts/Faults.t.sol"
    assert "tests/contracts/Appeals.t.sol" in tests
    assert "tests/contracts/Bitmaps.t.sol" not in tests


def test_verdicts_are_kept_until_their_source_changes(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for name in "AB":
        (tmp_path / f"contracts/{name}.sol").write_text("old")
    found = {
        "contracts/A.sol": [mutation("a <= b")],
        "contracts/B.sol": [mutation("", "contracts/B.sol")],
    }
    results = Results()
    adopt(results, found, tmp_path)
    for mutant in (each for its in found.values() for each in its):
        results.note(mutant, "survived")
    write_results(tmp_path / "kept.json", results)
    (tmp_path / "contracts/B.sol").write_text("new")
    again = read_results(tmp_path / "kept.json")
    assert again == results
    adopt(again, found, tmp_path)
    assert again.verdict_of(found["contracts/A.sol"][0]) == "survived"
    assert again.verdict_of(found["contracts/B.sol"][0]) is None
    assert [each.file for each in again.alive.values()] == ["contracts/A.sol"]
    again.note(found["contracts/A.sol"][0], "suspect")
    assert len(again.alive) == 1
    again.note(found["contracts/A.sol"][0], "killed")
    assert again.alive == {}
    assert again.totals() == {"mutants": 2, "run": 1, "killed": 1}


def test_every_survivor_is_explained() -> None:
    explained = {each.key for each in read_explanations(EXPLAINED)}
    results = read_results(RESULTS)
    verdicts = {name: v for its in results.files.values() for name, v in its.verdicts.items()}
    survived = [each for name, each in results.alive.items() if verdicts[name] == "survived"]
    assert [each for each in survived if each.key not in explained] == []
    totals = results.totals()
    assert totals.get("survived", 0) + totals.get("suspect", 0) == len(results.alive)


def test_the_results_are_of_these_sources() -> None:
    for file, its in read_results(RESULTS).files.items():
        source = hashlib.sha256((PROJECT / file).read_bytes()).hexdigest()[:16]
        assert its.source == source, f"{file} has changed: run its mutants again"
