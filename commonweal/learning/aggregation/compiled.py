"""The kernels in C, compiled by the system's compiler when first used and kept for the next time.

The same bytes as numpy's, or they are not used: no compiler, an odd processor or a wrong result,
and `choose_kernels` gives the numpy ones. WEAL_KERNELS=numpy asks for those. Who can write to the
cache runs code as this user: it is used only if that is nobody else.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation.blocks import (
    BLOCK,
    SUBBLOCK,
    Block,
    Kernels,
    Mixture,
    NumpyKernels,
    Rows,
)
from commonweal.learning.aggregation.networks import build_network

_SOURCE = Path(__file__).with_name("kernels.c")
# Never -ffast-math, never contraction: one rounding per operation is what makes the bytes equal.
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fno-fast-math", "-shared", "-fPIC")
# The widest vectors first; a compiler or a processor that does not know them has the next.
_TARGETS = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ())
_STRIP, _UNIT, _LINE = 64, 8, 64  # columns, rows, bytes: as in kernels.c
_COMPILE_SECONDS = 120.0

_size, _double, _pointer = ctypes.c_size_t, ctypes.c_double, ctypes.c_void_p
_SIGNATURES = {
    "weighted_sum": (None, (_size, _pointer, _pointer, _size, _pointer)),
    "apply_step": (ctypes.c_int, (_pointer, _pointer, _double, _size, _pointer)),
    "sorted_mean": (
        ctypes.c_int,
        (_size, _pointer, _pointer, _size, _size, _size, _pointer, _pointer),
    ),
    "mixed_sorted_mean": (
        ctypes.c_int,
        (_size, _pointer, _size, *(_pointer,) * 4, _size, _size, _size, *(_pointer,) * 3),
    ),
    "squares": (_double, (_pointer, _size)),
    "gram": (None, (_size, _pointer, _size, _pointer, _pointer)),
}


class CompiledKernels:
    """Whatever is handed over by address is held in a local variable until the call is over."""

    name = "compiled"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for function, (result, arguments) in _SIGNATURES.items():
            getattr(library, function).restype = result
            getattr(library, function).argtypes = arguments

    def weighted_sum(self, rows: Rows, coefficients: Sequence[float], out: Block) -> None:
        if not rows:
            out[:] = 0.0
            return
        pointers, shares = _pointers(rows), np.array(coefficients, np.float64)
        self._library.weighted_sum(len(rows), _at(pointers), _at(shares), out.size, _at(out))

    def sorted_mean(self, rows: Rows, mixture: Mixture, cut: int, out: Block) -> bool:
        if not mixture.is_identity:
            return self._mixed_sorted_mean(rows, mixture, cut, out)
        pointers, pairs = _pointers(rows), _pairs(len(rows), cut)
        room = _scratch(_units(len(rows)) * _UNIT * _STRIP, np.float32)
        network = (_at(pairs), len(pairs), cut, out.size)
        ends = (_at(room), _at(out))
        return bool(self._library.sorted_mean(len(rows), _at(pointers), *network, *ends))

    def _mixed_sorted_mean(self, rows: Rows, mixture: Mixture, cut: int, out: Block) -> bool:
        size = len(mixture.terms)
        pointers, pairs = _pointers(rows), _pairs(size, cut)
        begin, index, shares = _flatten(mixture)
        room = _scratch(_units(size) * _UNIT * _STRIP, np.float64)
        picked = np.empty(len(index), np.uintp)
        terms = (size, _at(begin), _at(index), _at(shares))
        network = (_at(pairs), len(pairs), cut, out.size)
        ends = (_at(room), _at(picked), _at(out))
        function = self._library.mixed_sorted_mean
        return bool(function(len(rows), _at(pointers), *terms, *network, *ends))

    def gram(self, rows: Rows) -> Block:
        count = len(rows)
        products = np.zeros((count, count))
        room = _scratch((count + 1) * SUBBLOCK, np.float64)
        pointers = _pointers(rows)
        self._library.gram(count, _at(pointers), rows[0].size, _at(room), _at(products))
        upper = np.triu_indices(count, 1)
        products[upper] = products.T[upper]
        return products

    def squares(self, rows: Rows) -> Block:
        return np.array([self._library.squares(_at(row), row.size) for row in rows])

    def apply(
        self, parent: NDArray[np.float32], step: Block, rate: float, out: NDArray[np.float32]
    ) -> bool:
        return bool(self._library.apply_step(_at(parent), _at(step), rate, step.size, _at(out)))


def _scratch(size: int, kind: type[np.float32 | np.float64]) -> NDArray[np.generic]:
    """Of `size` numbers, and a line more, so that the kernel can start at one."""
    return np.empty(size + _LINE // np.dtype(kind).itemsize, kind)


def _at(array: NDArray[np.generic]) -> int:
    return array.ctypes.data


def _pointers(rows: Rows) -> NDArray[np.uintp]:
    """Valid as long as the rows are."""
    return np.array([row.__array_interface__["data"][0] for row in rows], np.uintp)


@lru_cache(maxsize=64)
def _pairs(size: int, cut: int) -> NDArray[np.int32]:
    """The network for units of sorted rows in place of rows: merging two is comparing them."""
    network = build_network(_units(size), cut // _UNIT, _units(size - cut))
    return np.array(network, np.int32).reshape(-1, 3)


def _units(rows: int) -> int:
    return -(-rows // _UNIT)


@lru_cache(maxsize=4)
def _flatten(
    mixture: Mixture,
) -> tuple[NDArray[np.uintp], NDArray[np.uintp], NDArray[np.float64]]:
    begin = np.cumsum([0, *map(len, mixture.terms)]).astype(np.uintp)
    index = [at for terms in mixture.terms for at, _ in terms]
    shares = [share for terms in mixture.terms for _, share in terms]
    return begin, np.array(index, np.uintp), np.array(shares, np.float64)


@lru_cache(maxsize=1)
def choose_kernels() -> Kernels:
    if os.environ.get("WEAL_KERNELS") == "numpy":
        return NumpyKernels()
    cache = _cache()
    return (cache and load_compiled(cache)) or NumpyKernels()


def load_compiled(cache: Path) -> CompiledKernels | None:
    """None where they cannot be compiled and loaded, or give other bytes than numpy's."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        return None
    for target in _TARGETS:
        try:
            library = _compile(compiler, (*_FLAGS, *target), cache)
            kernels = CompiledKernels(ctypes.CDLL(str(library)))
        except (OSError, subprocess.SubprocessError, AttributeError):
            continue
        if _agrees(kernels, NumpyKernels()):
            return kernels
    return None


def _compile(compiler: str, flags: Sequence[str], cache: Path) -> Path:
    """Named after all that it depends on, processor included: a home may be shared by machines."""
    made_from = (_SOURCE.read_bytes(), repr((compiler, *flags)).encode(), _processor())
    library = cache / f"kernels-{sha256(repr(made_from).encode()).hexdigest()[:32]}.so"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (_is_private(cache) and _is_kept(cache.parent)):
        raise PermissionError(f"{cache} can be changed by other users")
    if not (library.exists() and _is_private(library)):
        with tempfile.TemporaryDirectory(dir=cache) as work:
            fresh = Path(work) / "kernels.so"
            command = [compiler, *flags, "-o", str(fresh), str(_SOURCE)]
            subprocess.run(  # noqa: S603 – our own source, the system's own compiler
                command, check=True, capture_output=True, timeout=_COMPILE_SECONDS
            )
            fresh.chmod(0o700)
            fresh.replace(library)
    return library


def _is_private(path: Path) -> bool:
    found = path.lstat()
    is_mine = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
    return is_mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_kept(folder: Path) -> bool:
    """Nobody but this user and root can put something else in the place of what is in it."""
    found = folder.stat()
    is_open = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not is_open


def _processor() -> bytes:
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        lines = []
    known = [line for line in lines if line.startswith((b"flags", b"Features", b"model name"))]
    return b"\n".join([platform.machine().encode(), *known[:2]])


def _cache() -> Path | None:
    """None without a home. XDG_CACHE_HOME counts only if absolute, as its specification has it."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "commonweal"
    except RuntimeError:
        return None


def _agrees(one: Kernels, other: Kernels) -> bool:
    """Every kernel on a fixed sample of exact fractions and rough numbers, byte by byte."""
    generator = np.random.Generator(np.random.PCG64(7))
    rows = [
        (generator.integers(-(2**23), 2**23, SUBBLOCK + 77) / 3).astype(np.float32)
        for _ in range(2 * _UNIT + 3)  # so that units are merged, and one is not full
    ]
    return _sample(one, rows) == _sample(other, rows)


def _sample(kernels: Kernels, rows: Rows) -> list[bytes]:
    shares = [1 / (3 + at) for at in range(len(rows))]
    step, moved = np.empty(rows[0].size), np.empty(rows[0].size, np.float32)
    plain = Mixture(tuple(((at, 1.0),) for at in range(len(rows))))
    mixed = Mixture(tuple(tuple(enumerate(shares[at:])) for at in range(len(rows))))
    seen = [kernels.gram(rows).tobytes(), kernels.squares(rows).tobytes()]
    for mixture, cut in ((plain, (len(rows) - 1) // 2), (plain, 1), (mixed, _UNIT)):
        kernels.sorted_mean(rows, mixture, cut, step)
        seen.append(step.tobytes())
    kernels.weighted_sum(rows, shares, step)
    kernels.apply(rows[0], step, 0.7, moved)
    return [*seen, step.tobytes(), moved.tobytes()]


assert BLOCK % SUBBLOCK == 0
