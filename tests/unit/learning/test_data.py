import re
import zipfile

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from commonweal.learning.data import (
    CsvSource,
    DataSource,
    DigitsPart,
    DigitsSource,
    InvalidData,
    NpzSource,
    ParquetSource,
    digits_test_part,
    load_dataset,
    partition_dirichlet,
    read_dataset,
    stratified_holdout,
)
from commonweal.protocol.specs import DataSpec

DIGITS = DataSpec(features=(64,), classes=10)
SMALL = DataSpec(features=(2,), classes=3)


def rows_of(*datasets) -> set[bytes]:
    return {row.tobytes() for data in datasets for row in np.ascontiguousarray(data.x)}


def write_csv(path, *lines: str):
    path.write_text("\n".join(lines) + "\n")
    return CsvSource(path=path, label="kind")


def test_no_part_holds_a_row_of_the_test_part_and_together_they_hold_all_others():
    test = digits_test_part(3)
    parts = [
        load_dataset(DigitsSource(part=DigitsPart(parts=7, index=i, seed=3)), DIGITS)
        for i in range(7)
    ]
    sizes = [len(part.train) + len(part.holdout) for part in parts]
    assert sum(sizes) + len(test) == 1797
    assert len(test) == pytest.approx(1797 / 5, abs=5)
    held = rows_of(*(half for part in parts for half in (part.train, part.holdout)))
    assert not held & rows_of(test)
    assert len(held | rows_of(test)) == len(rows_of(test)) + len(held)


def test_the_whole_set_is_one_part():
    local = load_dataset(DigitsSource(), DIGITS)
    assert len(local.train) + len(local.holdout) + len(digits_test_part(0)) == 1797
    assert len(local.holdout) / len(local.train) == pytest.approx(0.25, rel=0.02)
    assert local.train.x.dtype == np.float32
    assert local.train.y.dtype == np.int64
    assert 0 <= local.train.x.min() < local.train.x.max() == 1


def test_features_take_the_shape_of_the_spec():
    local = load_dataset(DigitsSource(), DataSpec(features=(1, 8, 8), classes=10))
    assert local.train.x.shape[1:] == (1, 8, 8)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 100.0])
@pytest.mark.parametrize("parts", [1, 2, 50])
def test_a_partition_covers_every_row_once_and_leaves_no_part_empty(alpha, parts):
    labels = np.random.default_rng(0).integers(0, 10, 600)
    dealt = partition_dirichlet(labels, parts, alpha, 1)
    assert len(dealt) == parts
    assert sorted(np.concatenate(dealt).tolist()) == list(range(600))
    assert min(map(len, dealt)) >= 2
    again = partition_dirichlet(labels, parts, alpha, 1)
    assert all(np.array_equal(a, b) for a, b in zip(dealt, again, strict=True))


def test_a_small_alpha_gives_one_sided_parts():
    labels = np.repeat(np.arange(10), 100)
    kinds = [
        np.mean([len(np.unique(labels[rows])) for rows in partition_dirichlet(labels, 10, a, 0)])
        for a in (0.05, 100.0)
    ]
    assert kinds[0] < 6 < 9.9 < kinds[1]


def test_more_parts_than_rows_is_refused():
    with pytest.raises(InvalidData):
        partition_dirichlet(np.zeros(5, np.int64), 4, 0.5, 0)


@pytest.mark.parametrize("size", [2, 3, 7, 100])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.99])
def test_neither_side_of_a_split_is_ever_empty(size, fraction):
    held = stratified_holdout(np.zeros(size, np.int64), fraction, 0)
    assert 0 < held.sum() < size


def test_a_split_takes_its_share_of_every_label():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    held = stratified_holdout(labels, 0.2, 0)
    np.testing.assert_allclose(np.bincount(labels[held]), [20, 10, 2], atol=1)


def test_npz(tmp_path):
    path = tmp_path / "rows.npz"
    x, y = np.arange(20, dtype=np.uint8).reshape(10, 2), np.arange(10) % 3
    np.savez(path, x=x, y=y)
    local = load_dataset(NpzSource(path=path), SMALL)
    assert len(local.train) == 8
    np.savez(path, x=x, y=y.astype(object))
    with pytest.raises(InvalidData, match=r"rows\.npz"):
        load_dataset(NpzSource(path=path), SMALL)
    with pytest.raises(InvalidData, match="no array pixels"):
        load_dataset(NpzSource(path=path, x="pixels"), SMALL)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("part", ["flags", "method", "content"])
def test_an_npz_that_cannot_be_unpacked_names_its_file(tmp_path, method, part):
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in (("x", np.zeros((9, 2))), ("y", np.zeros(9, np.int64))):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)
    packed = bytearray(path.read_bytes())
    entry = packed.index(b"PK\1\2")  # x in the directory; the file's first header is at 0
    at = {"flags": (6, entry + 8), "method": (8, entry + 10), "content": range(39, 49)}[part]
    for place in at:
        packed[place] = {"flags": 1, "method": 99, "content": 255}[part]
    path.write_bytes(packed)
    with pytest.raises(InvalidData, match=r"rows\.npz: not an npz file"):
        load_dataset(NpzSource(path=path), SMALL)


def test_csv_with_chosen_columns(tmp_path):
    source = write_csv(tmp_path / "a.csv", "id,a,b,kind", "x,1,2.5,0", "y,3,4,2", "z,5,6,1")
    chosen = source.model_copy(update={"columns": ("b", "a")})
    local = load_dataset(chosen, SMALL)
    found = np.concatenate([local.train.x, local.holdout.x])
    assert sorted(found.tolist()) == [[2.5, 1], [4, 3], [6, 5]]


@pytest.mark.parametrize(
    ("lines", "details"),
    [
        (["a,b,kind", "1,2,0", "1,two,1"], {"column": "b", "row": 2}),
        (["a,b,kind", "1,2,0", "1,nan,1"], {"column": "b", "row": 2}),
        (["a,b,kind", "1,2,0", "1,,1"], {"column": "b", "row": 2}),
        (["a,b,kind", "1,2,0", "1,2,1.5"], {"column": "kind", "row": 2}),
        (["a,b,kind", "1,2,0", "1,2"], {"row": 2}),
        (["a,b,kind", "1,2,0", "1,2,3"], {"row": 2, "label": 3}),
        (["a,b,kind", "1,2,0", "1,2,-1"], {"row": 2, "label": -1}),
        (["a,b,type", "1,2,0"], {"column": "kind"}),
        (["a,kind", "1,0", "1,0"], {"have": 1, "want": 2}),
        (["a,a,b,kind", "1,2,3,0", "1,2,3,1"], {"column": "a"}),
        (["a,b,kind,kind", "1,2,0,0", "1,2,1,1"], {"column": "kind"}),
    ],
)
def test_a_bad_csv_names_file_column_and_row(tmp_path, lines, details):
    source = write_csv(tmp_path / "a.csv", *lines)
    with pytest.raises(InvalidData) as caught:
        load_dataset(source, SMALL)
    assert str(source.path) in caught.value.message
    assert details.items() <= caught.value.details.items()


def test_names_repeated_among_columns_that_nobody_asked_for_do_no_harm(tmp_path):
    source = write_csv(tmp_path / "a.csv", "a,b,kind,,", "1,2,0,,", "3,4,1,,")
    with pytest.raises(InvalidData, match="2 columns are named ''"):
        load_dataset(source, SMALL)
    assert len(load_dataset(source.model_copy(update={"columns": ("a", "b")}), SMALL).train) == 1


@pytest.mark.parametrize("lines", [[""], ["a,b,kind"], ["a,b,kind", "1,2,0"]])
def test_too_few_rows_are_refused(tmp_path, lines):
    with pytest.raises(InvalidData):
        load_dataset(write_csv(tmp_path / "a.csv", *lines), SMALL)


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"a": [1.0, 2, 3], "b": [1, 2, 3], "kind": [0, 1, 2]}
    parquet.write_table(pyarrow.table(columns), path)
    assert len(load_dataset(ParquetSource(path=path, label="kind"), SMALL).train) == 2
    parquet.write_table(pyarrow.table({**columns, "b": [1, None, 3]}), path)
    with pytest.raises(InvalidData) as caught:
        load_dataset(ParquetSource(path=path, label="kind"), SMALL)
    assert caught.value.details == {"file": str(path), "column": "b", "row": 2}


OTHER = {
    "timestamp[ns]": pyarrow.array([1, 2, 3], pyarrow.timestamp("ns")),
    "duration[ns]": pyarrow.array([1, 2, 3], pyarrow.duration("ns")),
    "string": pyarrow.StringArray.from_buffers(
        3, pyarrow.py_buffer(np.arange(4, dtype=np.int32)), pyarrow.py_buffer(b"\xff\xff\xff")
    ),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_parquet_column_of_no_numbers_is_read_by_nobody_who_does_not_ask(tmp_path, kind):
    path = tmp_path / "a.parquet"
    columns = {"a": [1.0, 2, 3], "b": [1, 2, 3], "other": OTHER[kind], "kind": [0, 1, 2]}
    parquet.write_table(pyarrow.table(columns), path)
    source = ParquetSource(path=path, label="kind", columns=("b", "a"))
    data = read_dataset(source)
    assert (data.x.tolist(), data.y.tolist()) == ([[1, 1], [2, 2], [3, 3]], [0, 1, 2])
    with pytest.raises(InvalidData, match="column other holds " + re.escape(kind)) as caught:
        read_dataset(source.model_copy(update={"columns": None}))
    assert caught.value.details == {"file": str(path), "column": "other"}


def test_a_parquet_file_with_a_name_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"mass": [1.0, 2], "kind": [0, 1]}), path)
    path.write_bytes(path.read_bytes().replace(b"mass", b"\xffass"))
    with pytest.raises(InvalidData, match=r"a\.parquet: not a parquet file"):
        read_dataset(ParquetSource(path=path, label="kind"))


def test_parquet_columns_of_one_shape_are_rows_and_others_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"a": [[1, 2], [3, 4]], "b": [[5, 6], [7, 8]], "c": [1, 2], "kind": [0, 1]}
    parquet.write_table(pyarrow.table(columns), path)
    source = ParquetSource(path=path, label="kind", columns=("a", "b"))
    assert read_dataset(source).x.tolist() == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    with pytest.raises(InvalidData, match=r"column c: shape \(\) per row, a has \(2,\)") as caught:
        read_dataset(source.model_copy(update={"columns": ("a", "c")}))
    assert caught.value.details == {"file": str(path), "column": "c"}


def test_a_parquet_column_that_is_there_twice_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    columns = [pyarrow.array([1, 2])] * 3
    parquet.write_table(pyarrow.table(columns, names=["a", "a", "kind"]), path)
    with pytest.raises(InvalidData, match="2 columns are named 'a'"):
        read_dataset(ParquetSource(path=path, label="kind"))


@pytest.mark.parametrize("kind", ["npz", "csv", "parquet"])
def test_a_missing_or_foreign_file_is_refused(tmp_path, kind):
    path = tmp_path / "data"
    raw = {"kind": kind, "path": path} | ({} if kind == "npz" else {"label": "kind"})
    source = TypeAdapter(DataSource).validate_python(raw)
    with pytest.raises(InvalidData, match="no such file"):
        load_dataset(source, SMALL)
    path.write_bytes(b"\x80\x04\x95\xff\xfe nothing of the kind")
    with pytest.raises(InvalidData, match=str(path)):
        load_dataset(source, SMALL)


def test_unknown_fields_and_absent_parts_are_refused():
    with pytest.raises(ValidationError):
        TypeAdapter(DataSource).validate_python({"kind": "digits", "code": "x"})
    with pytest.raises(InvalidData):
        load_dataset(DigitsSource(part=DigitsPart(parts=3, index=3)), DIGITS)
