"""Job files: what is read, and that every error names the line and the field."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.jobfile import (
    MAX_BYTES,
    InvalidJobFile,
    NotOnAllowlist,
    compute_allowlist_proof,
    compute_allowlist_root,
    compute_parameters,
    load_job_file,
    parse_job_file,
)
from commonweal.learning.data import Dataset
from commonweal.protocol.merkle import compute_allowlist_leaf, is_proven
from commonweal.protocol.specs import DataSpec
from commonweal.protocol.types import ZERO_DIGEST, Address, Digest
from commonweal.validation_sets import encode_validation_set, parse_validation_set

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits.yaml"
JOB = """\
name: tiny
model:
  family: mlp
  inputs: 64
  hidden: [32, 16]
  classes: 10
data:
  features: [8, 8]
  classes: 10
terms:
  rounds: 10
  price_per_round: 100
  min_stake: 12.5
  commit_window: 15m
"""
NAMES = "abcdefghijklmnopqrstuv"  # each twice the one before


def errors_of(text: str) -> list[str]:
    with pytest.raises(InvalidJobFile) as caught:
        parse_job_file(text.encode())
    return caught.value.message.splitlines()


def test_shipped_example_is_valid() -> None:
    job = load_job_file(EXAMPLE)
    assert job.spec.model.classes == 10
    assert job.escrow == 10 * 100 * 10**18


def test_units_of_money_and_time() -> None:
    terms = parse_job_file(JOB.encode()).terms
    assert terms.price_per_round == 100 * 10**18
    assert terms.min_stake == 12_500_000_000_000_000_000
    assert terms.commit_window == 900
    wei = parse_job_file(JOB.replace("12.5", "7 wei").encode()).terms
    assert wei.min_stake == 7


@pytest.mark.parametrize(
    ("written", "wei"),
    [
        ("'123456789012345678901234567891 wei'", 123456789012345678901234567891),
        ("'12345678901.123456789012345678'", 12345678901123456789012345678),
    ],
)
def test_no_amount_is_rounded(written: str, wei: int) -> None:
    assert parse_job_file(JOB.replace("12.5", written).encode()).terms.min_stake == wei
    with pytest.raises(InvalidJobFile, match="of wei"):
        parse_job_file(JOB.replace("12.5", f"'1.{'0' * 80}1'").encode())


def test_parameters_carry_the_terms() -> None:
    terms = parse_job_file(JOB.encode()).terms
    spec, model = Digest(b"s" * 32), Digest(b"m" * 32)
    parameters = compute_parameters(terms, spec=spec, model=model, now=1_000)
    assert (parameters.spec_digest, parameters.initial_model) == (spec, model)
    assert parameters.recruit_until == 1_000 + 86_400
    assert parameters.allowlist_root == ZERO_DIGEST


def test_allowlist_root_does_not_depend_on_the_order_written() -> None:
    one, other = "0x" + "11" * 20, "0x" + "22" * 20
    assert compute_allowlist_root((one, other)) == compute_allowlist_root((other, one))
    assert compute_allowlist_root((one,)) != compute_allowlist_root((one, other))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("[32, 16]", "[32, -4]", "job.yaml:5: model.hidden.1: Input should be greater than 0"),
        ("inputs: 64", "inputs: many", "job.yaml:4: model.inputs: Input should be a valid integer"),
        ("family: mlp", "family: gpt", "job.yaml:2: model: Input tag 'gpt'"),
        ("name: tiny\n", "", "job.yaml:1: name: Field required"),
        ("  rounds: 10\n", "", "job.yaml:10: terms.rounds: Field required"),
        ("name: tiny", "name: tiny\nbogus: 1", "job.yaml:2: bogus: Extra inputs"),
        ("15m", "15x", "job.yaml:14: terms.commit_window: should be seconds"),
        ("12.5", "lots", "job.yaml:13: terms.min_stake: should be a number of tokens"),
        ("12.5", "0.5 wei", "job.yaml:13: terms.min_stake: should be a whole number of wei"),
        ("12.5", "-1", "job.yaml:13: terms.min_stake: Input should be greater than 0"),
        ("12.5", "'1e999990'", "job.yaml:13: terms.min_stake: should have at most 60 digits"),
        ("12.5", "'1e99999999999999999999'", "job.yaml:13: terms.min_stake: should be a number"),
        ("12.5", "!!int ''", "job.yaml:13: terms.min_stake: '' is not of the type int"),
        ("12.5", "!!float ''", "job.yaml:13: terms.min_stake: '' is not of the type float"),
        ("12.5", "!!bool x", "job.yaml:13: terms.min_stake: 'x' is not of the type bool"),
        ("12.5", "!!timestamp x", "job.yaml:13: terms.min_stake: 'x' is not of the type timestamp"),
        ("name: tiny", r'name: "\UFFFFFFFF"', "job.yaml:1: yaml: "),
        ("name: tiny", "? [a]\n: b", "job.yaml:1: yaml: a field's name is text"),
        ("[8, 8]", "[8, 9]", "job.yaml:8: data.features: 72 values per sample"),
        ("[8, 8]\n  classes: 10", "[64]\n  classes: 9", "job.yaml:9: data.classes: 9, but"),
        ("rounds: 10", "rounds: 10\n  escrow: 999", "job.yaml:12: terms.escrow: 999"),
        ("rounds: 10", "rounds: 10\n  committee_size: 4", "job.yaml:12: terms.committee_size"),
        (
            "rounds: 10",
            "rounds: 10\n  coordinator: 12",
            "job.yaml:12: terms.coordinator: should be",
        ),
        ("rounds: 10", "rounds: 10\n  rounds: 11", "job.yaml:12: terms.rounds: given twice"),
        ("name: tiny", "name: &n tiny\nother: *n", "job.yaml:1: other: aliases are not accepted"),
        ("[32, 16]", "[32, 16", "job.yaml:6: yaml: "),
        (
            "name: tiny",
            "name: tiny\nlimits: {max_update_bytes: 100}",
            "job.yaml:2: limits.max_update_bytes: 100, but an update has up to ",
        ),
        (
            "name: tiny",
            "name: tiny\nencoding: {kind: fp16, block: 64}",
            "job.yaml:2: encoding.block: Extra inputs",
        ),
        (
            "name: tiny",
            "name: tiny\nencoding: {kind: top-k, one_in: 1}",
            "job.yaml:2: encoding.one_in: Input should be greater than or equal to 2",
        ),
        (
            "name: tiny",
            "name: tiny\ntraining: {steps: 4, epochs: 2}",
            "job.yaml:2: training: steps 4 and epochs 2",
        ),
        ("rounds: 10", "rounds: .inf", "job.yaml:11: terms.rounds: Input should be a"),
    ],
)
def test_errors_name_line_and_field(old: str, new: str, error: str) -> None:
    assert old in JOB
    assert errors_of(JOB.replace(old, new))[0].startswith(error)


def test_all_errors_are_told_at_once() -> None:
    lines = errors_of(JOB.replace("[32, 16]", "[9, 0]").replace("15m", "x"))
    assert [line.split(":")[1] for line in lines] == ["5", "14"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("12.5", "1" + ":1" * 999 + ".5", "13: terms.min_stake: 2001 characters are too long for"),
        ("name: tiny", "name: " + "[" * 900, "1: yaml: nests more than 32 deep"),
        ("[8, 8]", str(["9" * 4000] * 2), "8: data.features.0: Input should be less than"),
    ],
    ids=["sexagesimal", "nested", "digits"],
)
def test_what_no_number_or_stack_holds_is_one_error_more(old: str, new: str, error: str) -> None:
    assert errors_of(JOB.replace(old, new))[0].startswith(f"job.yaml:{error}")


@pytest.mark.parametrize(
    "text",
    [
        JOB.replace("12.5", "'1e400000'"),
        JOB.replace("12.5", "1" + ":1" * 100_000),
        JOB + "".join(f"k{number}: 1\n" for number in range(10_000)),
        "? [&a [x, x], " + ", ".join(f"&{b} [*{a}, *{a}]" for a, b in pairwise(NAMES)) + "]\n: x",
    ],
    ids=["amount", "sexagesimal", "errors", "key"],
)
def test_time_and_what_is_told_do_not_grow_beyond_the_file(text: str) -> None:
    start = time.thread_time()
    assert len(errors_of(text)) <= 100
    assert time.thread_time() - start < 2.0


@pytest.mark.parametrize("text", ["", "[]", "just words", "\x00", "a: !!python/object:os.system x"])
def test_what_is_no_job_file_is_refused(text: str) -> None:
    assert errors_of(text)


def test_size_is_bounded() -> None:
    with pytest.raises(InvalidJobFile, match="at most"):
        parse_job_file(b"#" * (MAX_BYTES + 1))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobFile, match="No such file"):
        load_job_file(tmp_path / "job.yaml")


def test_everybody_on_the_allowlist_has_a_proof() -> None:
    providers = tuple("0x" + f"{number:02x}" * 20 for number in range(1, 6))
    root = compute_allowlist_root(providers)
    for provider in providers:
        proof = compute_allowlist_proof(providers, provider)
        assert is_proven(root, compute_allowlist_leaf(Address(provider)), proof)
    with pytest.raises(NotOnAllowlist):
        compute_allowlist_proof(providers, "0x" + "99" * 20)


def test_allowlist_leaf_is_the_contracts() -> None:
    """keccak256(bytes.concat(keccak256(abi.encode(provider)))), from Solidity."""
    leaf = compute_allowlist_leaf(Address("0x" + "11" * 20))
    assert leaf.hex() == "a7409058568815d08a7ad3c7d4fd44cf1dec90c620cb31e55ad24c654f7ba34f"


SAMPLES = JOB.replace("features: [8, 8]", "features: [2]").replace("inputs: 64", "inputs: 2")
SAMPLES = SAMPLES.replace(
    "data:", "data:\n  validation: {kind: csv, path: few.csv, label: y}\n  share_validation: true"
)


def test_samples_become_a_set_that_the_spec_names(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("a,b,y\n1,2,0\n3,4,9\n")
    (tmp_path / "job.yaml").write_text(SAMPLES)
    job = load_job_file(tmp_path / "job.yaml")
    assert job.validation is not None
    assert job.spec.data.validation == job.validation.cid
    assert job.spec.data.share_validation
    found = parse_validation_set(job.validation.content, job.spec.data)
    assert found.x.tolist() == [[1, 2], [3, 4]]
    assert found.y.tolist() == [0, 9]


def test_the_sets_cid_is_that_of_the_stored_content(tmp_path: Path) -> None:
    large = Dataset(np.zeros((2000, 300), np.float32), np.zeros(2000, np.int64))
    found = encode_validation_set(large, DataSpec(features=(300,), classes=2))
    assert EmbeddedStore(tmp_path).put(found.content) == found.cid


def test_samples_that_do_not_fit_are_refused_with_line_and_row(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("a,b,y\n1,2,0\n3,4,10\n")
    (tmp_path / "job.yaml").write_text(SAMPLES)
    with pytest.raises(
        InvalidJobFile, match=r"job\.yaml:8: data\.validation: .*few\.csv: row 2: label 10"
    ):
        load_job_file(tmp_path / "job.yaml")


def test_files_are_read_for_a_file_alone(tmp_path: Path) -> None:
    (only,) = errors_of(SAMPLES)
    assert only.startswith("job.yaml:8: data.validation: files are read by `weal job submit` only")


def test_a_set_is_shared_only_if_there_is_one() -> None:
    (only,) = errors_of(JOB.replace("data:", "data:\n  share_validation: true"))
    assert only.startswith("job.yaml:7: data: share_validation without a validation set")


@pytest.mark.parametrize(
    ("validation", "reason"),
    [
        ("{kind: csv, path: none.csv, label: y}", "none.csv: no such file"),
        ("{kind: csv, path: ../few.csv, label: y}", "../few.csv is not in the job file's folder"),
        ("{kind: csv, path: /etc/passwd, label: y}", "/etc/passwd is not in the job file's folder"),
        ("{kind: csv, path: empty.csv, label: y}", "n > 0"),
        ("{kind: csv, path: few.csv, label: y, holdout: 0.5}", "leave holdout out"),
        ("{kind: csv, path: few.csv}", "Field required"),
        ("{kind: npz, path: array.npz}", "not an npz file"),
        ("{kind: npz, path: damaged.npz}", "not an npz file"),
        ("{kind: npz, path: empty.npz}", "are not rows and labels"),
        ("{kind: npz, path: " + "n" * 300 + ".npz}", "File name too long"),
        ("few.csv", "is not a CID"),
        ("7", "should be a valid string"),
    ],
)
def test_a_bad_validation_set_is_one_error_with_its_line(
    tmp_path: Path, validation: str, reason: str
) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    for at in (tmp_path, folder):
        (at / "few.csv").write_text("a,b,y\n1,2,0\n3,4,9\n")
    (folder / "empty.csv").write_text("a,b,y\n")
    x, y = np.zeros((4000, 2), np.float32), np.zeros(4000, np.int64)
    np.save(folder / "array", x)
    (folder / "array.npy").rename(folder / "array.npz")
    np.savez(folder / "empty.npz", x=x[:0], y=y[:0])
    np.savez_compressed(folder / "damaged.npz", x=x, y=y)
    damaged = bytearray((folder / "damaged.npz").read_bytes())
    damaged[60:70] = b"\xff" * 10
    (folder / "damaged.npz").write_bytes(damaged)
    written = SAMPLES.replace("{kind: csv, path: few.csv, label: y}", validation)
    (folder / "job.yaml").write_text(written)
    with pytest.raises(InvalidJobFile) as caught:
        load_job_file(folder / "job.yaml")
    (only,) = caught.value.message.splitlines()
    assert ":8: data.validation" in only
    assert reason in only
