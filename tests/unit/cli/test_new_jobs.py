"""`weal job new` writes files that load; the schema says what the parser says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.cli.newjob import FileExists, parse_shape
from commonweal.jobfile import InvalidJobFile, compute_job_schema, load_job_file
from commonweal.jobtemplates import Draft, Kind, write_job_file

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
ANSWERS = {
    Kind.TABULAR: ["--features", "13", "--classes", "2"],
    Kind.IMAGES: ["--features", "3x32x32", "--classes", "10"],
}
SCHEMA = Draft202012Validator(compute_job_schema())


@pytest.mark.parametrize("kind", list(Kind))
def test_a_new_file_loads_and_fits_the_schema_beside_it(tmp_path: Path, kind: Kind) -> None:
    file = tmp_path / "job.yaml"
    options = ["--kind", kind, "--name", 'hearts: "A" # 1', *ANSWERS[kind], "--price", "7"]
    result = CliRunner().invoke(app, ["job", "new", str(file), *options])
    assert result.exit_code == 0, result.output
    job = load_job_file(file)
    assert job.spec.name == 'hearts: "A" # 1'
    assert job.escrow == 20 * 7 * 10**18
    schema = json.loads((tmp_path / "job.schema.json").read_text())
    Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))
    assert "job estimate" in result.stdout


def test_what_no_option_says_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    asked = "pictures\nimages\ncats\n1x28x28\n2\n"  # the first answer is none, and asked again
    result = CliRunner().invoke(app, ["job", "new", str(file)], input=asked)
    assert result.exit_code == 0, result.output
    assert load_job_file(file).spec.data.features == (1, 28, 28)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("mine")
    result = CliRunner().invoke(app, ["job", "new", str(file)])
    assert isinstance(result.exception, FileExists)
    assert file.read_text() == "mine"


def test_nothing_is_written_of_a_job_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    options = ["--kind", "images", "--name", "tiny", "--features", "1x2x2", "--classes", "2"]
    result = CliRunner().invoke(app, ["job", "new", str(file), *options])
    assert isinstance(result.exception, InvalidJobFile)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "3y", "1x", "0x4", "-3", "1.5"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InvalidJobFile, match="is no shape"):
        parse_shape(text)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_fit_the_schema(file: Path) -> None:
    SCHEMA.validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("terms", "rounds"), 0),
        (("terms", "commit_window"), "soon"),
        (("terms", "price_per_round"), "much"),
        (("terms", "allowlist"), ["0x12"]),
        (("model", "family"), "oracle"),
        (("data", "colour"), "red"),
        (("encoding", "kind"), "int7"),
    ],
)
def test_what_the_parser_refuses_the_schema_refuses(path: tuple[str, str], value: object) -> None:
    document = yaml.safe_load(write_job_file(Draft(Kind.TABULAR, "name", (4,), 2, 1, 1, 1, 60)))
    SCHEMA.validate(document)
    document[path[0]][path[1]] = value
    assert not SCHEMA.is_valid(document)


def test_the_schema_is_printed_whole() -> None:
    result = CliRunner().invoke(app, ["job", "schema"])
    assert json.loads(result.stdout) == compute_job_schema()
