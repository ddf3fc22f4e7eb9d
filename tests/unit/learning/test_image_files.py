"""IDX pairs and folders of pictures: values, shapes, labels, and what is refused before reading."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from commonweal.learning.data import InvalidData, load_dataset, read_dataset
from commonweal.learning.image_files import IdxSource, ImageFolderSource
from commonweal.protocol.specs import DataSpec

PIXELS = np.arange(10 * 4 * 6, dtype=np.uint8).reshape(10, 4, 6)
LABELS = np.arange(10, dtype=np.uint8) % 3


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, images: bytes, labels: bytes) -> IdxSource:
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)
    return IdxSource(images=folder / "images", labels=folder / "labels")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_pairs_are_read_plain_or_packed(tmp_path: Path, pack: type[bytes]) -> None:
    data = read_dataset(write(tmp_path, pack(idx(PIXELS)), pack(idx(LABELS))))
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x, PIXELS.astype(np.float32) / np.float32(255))
    assert data.y.tolist() == LABELS.tolist()


def test_idx_takes_the_shape_that_a_job_asks_for(tmp_path: Path) -> None:
    source = write(tmp_path, idx(PIXELS), idx(LABELS))
    local = load_dataset(source, DataSpec(features=(1, 4, 6), classes=3))
    assert local.train.x.shape[1:] == (1, 4, 6)
    with pytest.raises(InvalidData, match="24 features per row, the job wants 64"):
        load_dataset(source, DataSpec(features=(64,), classes=3))


def damaged(packed: bytes) -> bytes:
    """The first block of a kind that deflate does not know."""
    return packed[:10] + b"\xff" * 20 + packed[30:]


BROKEN = {
    "empty": (b"", "not an IDX file"),
    "something else": (b"PK\3\4" + bytes(40), "not unsigned bytes"),
    "huge": (struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 2**31), "at most"),
    "cut": (idx(PIXELS)[:-1], "declared"),
    "too long": (idx(PIXELS) + b"\0", "declared"),
    "cut while packed": (gzip.compress(idx(PIXELS))[:-9], "not an IDX file"),
    "damaged while packed": (damaged(gzip.compress(idx(PIXELS))), "not an IDX file"),
    "labels for images": (idx(LABELS), "dimensions"),
    "one image less": (idx(PIXELS[:9]), "9 images, 10 labels"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_idx_files_are_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    images, problem = BROKEN[name]
    with pytest.raises(InvalidData, match=problem):
        read_dataset(write(tmp_path, images, idx(LABELS)))


def test_no_room_is_made_for_what_a_plain_file_does_not_have(tmp_path: Path) -> None:
    """A header alone that declares 4 GB: refused before so much is asked for."""
    header = struct.pack(">HBB3I", 0, 8, 3, 2**20, 64, 64)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidData, match="0 bytes of pixels"):
            read_dataset(write(tmp_path, header, idx(LABELS)))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def write_picture(folder: Path, picture: Image.Image, form: str = "PNG") -> None:
    (folder / "only").mkdir()
    picture.save(folder / "only" / "0.png", form)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, shade in (("dark", 10), ("light", 240)):
        (tmp_path / name).mkdir()
        for at, suffix in enumerate((".png", ".jpg", ".bmp")):
            Image.new("RGB", (20 + at, 10), (shade, shade, shade)).save(
                tmp_path / name / f"{at}{suffix}"
            )
    (tmp_path / "light" / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_per_class_is_labelled_in_alphabetical_order(pictures: Path) -> None:
    data = read_dataset(ImageFolderSource(path=pictures, size=(5, 8)))
    assert data.x.shape == (6, 1, 5, 8)
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.x[:3].max() < 0.1 < 0.9 < data.x[3:].min()


def test_classes_can_be_named_and_colours_kept(pictures: Path) -> None:
    source = ImageFolderSource(path=pictures, size=(2, 2), colours="rgb", classes=("light", "dark"))
    data = read_dataset(source)
    assert data.x.shape == (6, 3, 2, 2)
    assert data.x[0].min() > 0.9
    missing = ImageFolderSource(path=pictures, size=(2, 2), classes=("grey",))
    with pytest.raises(InvalidData, match="no folder grey"):
        read_dataset(missing)


@pytest.mark.parametrize(("colours", "channels"), [("grey", 1), ("rgb", 3)])
def test_a_picture_of_16_bits_keeps_its_whole_range(
    tmp_path: Path, colours: Literal["grey", "rgb"], channels: int
) -> None:
    shades = np.array([[0, 300, 20000, 65535]] * 2, np.uint16)
    write_picture(tmp_path, Image.fromarray(shades))
    source = ImageFolderSource(path=tmp_path, size=(2, 4), colours=colours)
    wanted = np.broadcast_to(shades / 65535, (1, channels, 2, 4))
    np.testing.assert_allclose(read_dataset(source).x, wanted, rtol=1e-6)
    smaller = read_dataset(source.model_copy(update={"size": (1, 1)})).x
    np.testing.assert_allclose(smaller, shades.mean() / 65535, rtol=0.1)


def test_a_white_picture_of_16_bits_is_1_at_every_size(tmp_path: Path) -> None:
    write_picture(tmp_path, Image.fromarray(np.full((37, 41), 65535, np.uint16)))
    for side in (1, 3, 28, 100):
        assert (read_dataset(ImageFolderSource(path=tmp_path, size=(side, side))).x == 1).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """As TIFF: today's Pillow finds them in none of the formats that are read."""
    monkeypatch.setattr("commonweal.learning.image_files._FORMATS", ("TIFF",))
    write_picture(tmp_path, Image.new(mode, (4, 4)), "TIFF")
    with pytest.raises(InvalidData, match=rf"0\.png: pixels of mode {mode}"):
        read_dataset(ImageFolderSource(path=tmp_path, size=(2, 2)))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(99), b"GIF89a" + bytes(99)])
def test_what_is_no_picture_is_named(pictures: Path, content: bytes) -> None:
    (pictures / "dark" / "0.png").write_bytes(content)
    with pytest.raises(InvalidData, match=r"0\.png: not a picture"):
        read_dataset(ImageFolderSource(path=pictures, size=(2, 2)))


@pytest.mark.parametrize("kind", [b"IHDR", b"pHYs", b"gAMA", b"cHRM", b"iCCP", b"zTXt"])
def test_a_damaged_part_of_a_picture_names_its_file(pictures: Path, kind: bytes) -> None:
    bomb = b"key\0\0" + zlib.compress(bytes(2**21))
    data = {b"zTXt": bomb, b"iCCP": b"name\0"}.get(kind, b"\1")
    part = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path = pictures / "dark" / "0.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-12] + part + whole[-12:])  # between pixels and end
    with pytest.raises(InvalidData, match=r"0\.png: not a picture"):
        read_dataset(ImageFolderSource(path=pictures, size=(2, 2)))


def test_a_picture_that_would_fill_the_memory_is_not_decoded(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonweal.learning.image_files._MAX_PIXELS", 199)
    with pytest.raises(InvalidData, match="at most 199"):
        read_dataset(ImageFolderSource(path=pictures, size=(2, 2)))


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidData, match="no pictures"):
        read_dataset(ImageFolderSource(path=tmp_path, size=(2, 2)))
    with pytest.raises(InvalidData, match="no such folder"):
        read_dataset(ImageFolderSource(path=tmp_path / "gone", size=(2, 2)))
