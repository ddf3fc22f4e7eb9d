"""Images from a node's own files: IDX pairs (as MNIST comes) and folders of pictures by class.

Pixels become float32 from 0 to 1. Declared sizes are checked before anything is allocated.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from commonweal.extras import require_extra
from commonweal.learning.data_files import Dataset, InvalidData, LocalSource

if TYPE_CHECKING:
    from PIL.Image import Image

_UBYTE = 0x08  # the IDX type of both files
_MAX_BYTES = 8 * 2**30  # of an IDX file unpacked
_MAX_PIXELS = 64 * 10**6  # of one picture: a decompression bomb has more
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
_FORMATS = ("PNG", "JPEG", "BMP")
_RANGELESS = ("I", "F")  # Pillow's modes of 32-bit integers and floats

Side = Annotated[int, Field(ge=1, le=1024)]


class IdxSource(LocalSource):
    """Images (n, rows, columns) and labels (n,) of unsigned bytes, each file plain or gzipped."""

    kind: Literal["idx"] = "idx"
    images: Path
    labels: Path


class ImageFolderSource(LocalSource):
    """One folder per class, in it PNG, JPEG or BMP; pictures are scaled to `size`."""

    kind: Literal["images"] = "images"
    path: Path
    size: Annotated[tuple[Side, Side], Field(description="rows, columns")]
    colours: Literal["grey", "rgb"] = "grey"
    classes: Annotated[
        tuple[str, ...] | None,
        Field(description="folder names by label from 0; default: all, in alphabetical order"),
    ] = None


def read_idx(source: IdxSource) -> Dataset:
    """x (n, rows, columns). Raises InvalidData naming the file."""
    pixels, labels = _read_bytes(source.images, 3), _read_bytes(source.labels, 1)
    if len(pixels) != len(labels):
        message = f"{source.images}: {len(pixels)} images, {len(labels)} labels"
        raise InvalidData(message, file=str(source.images), images=len(pixels), labels=len(labels))
    return Dataset(_scale(pixels), labels.astype(np.int64))


def read_image_folder(source: ImageFolderSource) -> Dataset:
    """x (n, 1 or 3, rows, columns), classes by ascending label. Raises InvalidData."""
    require_extra("PIL")
    files = list(_list_pictures(source))
    if not files:
        raise _invalid(source.path, f"no pictures ({', '.join(sorted(_SUFFIXES))}) in its folders")
    channels = 1 if source.colours == "grey" else 3
    x = np.empty((len(files), channels, *source.size), np.float32)
    for row, (_, path) in enumerate(files):
        x[row] = _read_picture(path, source)
    return Dataset(x, np.array([label for label, _ in files], np.int64))


def _read_bytes(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                file = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
                return _parse_idx(path, file, dimensions, None)
            return _parse_idx(path, raw, dimensions, os.fstat(raw.fileno()).st_size)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise _invalid(path, f"not an IDX file: {error}") from error


def _parse_idx(path: Path, file: BinaryIO, dimensions: int, whole: int | None) -> NDArray[np.uint8]:
    """`whole`: bytes of the file, None if that is only known once it is unpacked."""
    zeros, kind, have = struct.unpack(">HBB", file.read(4))
    if (zeros, kind, have) != (0, _UBYTE, dimensions):
        message = f"type {kind:#x} with {have} dimensions, not unsigned bytes with {dimensions}"
        raise _invalid(path, message)
    shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    size = math.prod(shape)
    if not 0 < size <= _MAX_BYTES:
        raise _invalid(path, f"{size} bytes declared, at most {_MAX_BYTES} are read", size=size)
    found = size if whole is None else whole - file.tell()
    if found != size:
        raise _invalid(path, f"{found} bytes of pixels or labels, {size} declared", size=size)
    data = file.read(size + 1)
    if len(data) != size:
        raise _invalid(path, f"{len(data)} bytes or more, {size} declared", size=size)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _list_pictures(source: ImageFolderSource) -> Iterator[tuple[int, Path]]:
    if not source.path.is_dir():
        raise _invalid(source.path, "no such folder")
    folders = sorted(each.name for each in source.path.iterdir() if each.is_dir())
    for label, name in enumerate(source.classes or folders):
        if name not in folders:
            raise _invalid(source.path, f"no folder {name}, there are {folders[:16]}")
        for path in sorted((source.path / name).iterdir()):
            if path.suffix.lower() in _SUFFIXES:
                yield label, path


def _read_picture(path: Path, source: ImageFolderSource) -> NDArray[np.float32]:
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as picture:
            _check_picture(path, picture)
            return _to_pixels(picture, source)
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, IndexError) as error:
        raise _invalid(path, f"not a picture that can be read: {error}") from error


def _check_picture(path: Path, picture: Image) -> None:
    if math.prod(picture.size) > _MAX_PIXELS:
        raise _invalid(path, f"{picture.size} pixels, at most {_MAX_PIXELS} are read")
    if picture.mode in _RANGELESS:
        raise _invalid(path, f"pixels of mode {picture.mode}, which have no greatest value")


def _to_pixels(picture: Image, source: ImageFolderSource) -> NDArray[np.float32]:
    """One channel of a 16-bit picture for all colours, since it is grey."""
    from PIL.Image import Resampling

    rows, columns = source.size
    if picture.mode.startswith("I;16"):  # which convert("L") would clip at 255
        grey = picture.convert("F").resize((columns, rows), Resampling.BILINEAR)
        return (np.asarray(grey, np.float32)[None] / np.float32(65535)).clip(0, 1)
    mode = "L" if source.colours == "grey" else "RGB"
    scaled = picture.convert(mode).resize((columns, rows), Resampling.BILINEAR)
    pixels = np.asarray(scaled, np.uint8).reshape(rows, columns, -1)
    return _scale(pixels.transpose(2, 0, 1))


def _scale(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)


def _invalid(path: Path, message: str, **details: object) -> InvalidData:
    return InvalidData(f"{path}: {message}", file=str(path), **details)
