"""What a validator remembers of one job: each member's standing, and sketches of earlier updates.

Sketches tell resent and copied updates; they are count sketches (Charikar et al. 2002) under a key
that only this validator knows, or a copy could be altered just where the sketch looks.
"""

from __future__ import annotations

import io
import secrets
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import InvalidInput

# Honest updates exceed 0.997: of one member from round to round when its data are few and of one or
# two classes, of all when theirs are many and alike and the model is small (an exact copy: 1).
_RESENT_COSINE = 0.9995
_SAME_COSINE = 0.99999
_FEW = 4  # updates, from which on the usual distance between them can be told
_ALIKE = 0.03
_OPPOSITE = 0.5
_MISTRUSTED = -0.5  # standing of one whom others have mostly rejected
WIDTH = 1024
_ROUNDS_KEPT = 8
_AT_ONCE = 2**15  # coordinates, so that they stay in the processor's cache
_RECORD = np.dtype([("round", "<i8"), ("member", "<i8"), ("base", "S32")])

# RuntimeError: an encrypted entry, or one compressed in a way that is not known.
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    OSError,
    EOFError,
    RuntimeError,
    BadZipFile,
    zlib.error,
)

Sketches = NDArray[np.float32]


class InvalidMemory(InvalidInput):
    code = "invalid-scoring-memory"


def _new_key() -> int:
    return secrets.randbits(63)


def _no_sketches() -> Sketches:
    return np.zeros((0, WIDTH), np.float32)


def _no_records() -> NDArray[np.void]:
    return np.zeros(0, _RECORD)


@dataclass(frozen=True, slots=True)
class ScoringMemory:
    """Immutable; scoring a round returns a new one. Start with `ScoringMemory()`.

    `standing` is the smoothed agreement per member, `sketches` (m, WIDTH) are unit vectors, of the
    updates in `records`.
    """

    key: int = field(default_factory=_new_key)
    rounds: int = 0
    standing: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    sketches: Sketches = field(default_factory=_no_sketches, compare=False)
    records: NDArray[np.void] = field(default_factory=_no_records, compare=False)

    def to_bytes(self) -> bytes:
        """An npz archive without pickles."""
        members = sorted(self.standing)
        file = io.BytesIO()
        np.savez(
            file,
            key=np.array(self.key, np.int64),
            rounds=np.array(self.rounds, np.int64),
            members=np.array(members, np.int64),
            standing=np.array([self.standing[member] for member in members], np.float64),
            sketches=self.sketches,
            records=self.records,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ScoringMemory:
        """Raises InvalidMemory for anything that `to_bytes` did not write."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls._of({name: arrays[name] for name in arrays.files})
        except _UNREADABLE as error:
            raise InvalidMemory(f"not a scoring memory: {error}", bytes=len(data)) from error

    @classmethod
    def _of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> ScoringMemory:
        sketches, records = arrays["sketches"], arrays["records"]
        if sketches.shape != (len(records), WIDTH) or records.dtype != _RECORD:
            raise ValueError("sketches and records do not fit together")
        pairs = zip(arrays["members"].tolist(), arrays["standing"].tolist(), strict=True)
        return cls(
            key=int(arrays["key"].item()),
            rounds=int(arrays["rounds"].item()),
            standing=MappingProxyType(dict(pairs)),
            sketches=sketches.astype(np.float32),
            records=records.astype(_RECORD),
        )


def compute_sketches(key: int, units: NDArray[np.float32]) -> Sketches:
    """Unit sketches (n, WIDTH) of the rows of `units` (n, d)."""
    generator = np.random.Generator(np.random.PCG64(key))
    buckets = generator.integers(0, WIDTH, units.shape[1:])
    signs = generator.integers(0, 2, units.shape[1:]).astype(np.int8)
    sketches = np.zeros((len(units), WIDTH))
    for start in range(0, units.shape[1], _AT_ONCE):
        piece = slice(start, start + _AT_ONCE)
        sign = signs[piece] * 2.0 - 1.0
        for sketch, row in zip(sketches, units, strict=True):
            sketch += np.bincount(buckets[piece], weights=sign * row[piece], minlength=WIDTH)
    norms = np.linalg.norm(sketches, axis=1, keepdims=True)
    unit: Sketches = (sketches / np.maximum(norms, 1e-30)).astype(np.float32)
    return unit


def find_copies(
    memory: ScoringMemory, members: Sequence[int], sketches: Sketches, base: bytes
) -> set[int]:
    """Members whose update was sent before, or is (nearly) the same as another's in this round.

    Commitments are sealed, so nobody can make another's update look copied: all of a group are.
    A failed round starts again from the same base, so a member may repeat itself there.
    """
    near = _nearness(sketches)
    resent = {
        member
        for member, sketch in zip(members, sketches, strict=True)
        if _has_above(memory.sketches[memory.records["member"] != member] @ sketch, near)
        or _has_above(memory.sketches[_earlier(memory, member, base)] @ sketch, _RESENT_COSINE)
    }
    # Apart: who sends an earlier update of another's again does not make the other's look copied.
    fresh = [at for at, member in enumerate(members) if member not in resent]
    alike = sketches[fresh] @ sketches[fresh].T
    np.fill_diagonal(alike, -1.0)
    return resent | {
        members[at] for at, row in zip(fresh, alike, strict=True) if _has_above(row, near)
    }


def find_contradictions(
    memory: ScoringMemory, members: Sequence[int], sketches: Sketches
) -> set[int]:
    """Members that send about the opposite of what they sent before."""
    return {
        member
        for member, sketch in zip(members, sketches, strict=True)
        if _has_above(-(memory.sketches[memory.records["member"] == member] @ sketch), _OPPOSITE)
    }


def _nearness(sketches: Sketches) -> float:
    """The cosine from which two updates of one round are too alike to have two makers.

    A small part of the distance that lies between most pairs, so that jitter does not help; the
    lower quartile, so that many copies do not make copies usual.
    """
    if len(sketches) < _FEW:
        return _RESENT_COSINE
    pairs = (sketches @ sketches.T)[np.triu_indices(len(sketches), 1)]
    usual = min(max(float(np.quantile(pairs, 0.25)), 0.0), 1.0)
    return min(_SAME_COSINE, 1.0 - _ALIKE * (1.0 - usual))


def _has_above(cosines: NDArray[np.float32], limit: float) -> bool:
    return bool(np.any(cosines > limit))


def remember(
    memory: ScoringMemory,
    standing: Mapping[int, float],
    members: Sequence[int],
    sketches: Sketches,
    base: bytes,
    copies: Iterable[int] = (),
) -> ScoringMemory:
    """The memory after a round; `members`: those whose updates were new.

    Forgets old sketches, but not those of `copies`: who sends what it sent before would only have
    to wait.
    """
    records = np.array([(memory.rounds, member, base) for member in members], _RECORD)
    recent = memory.records["round"] > memory.rounds - _ROUNDS_KEPT
    kept = recent | np.isin(memory.records["member"], list(copies))
    return ScoringMemory(
        key=memory.key,
        rounds=memory.rounds + 1,
        standing=MappingProxyType({**memory.standing, **standing}),
        sketches=np.concatenate([memory.sketches[kept], sketches]),
        records=np.concatenate([memory.records[kept], records]),
    )


def recall_verdicts(
    memory: ScoringMemory, rejections: Mapping[int, Sequence[bool]]
) -> ScoringMemory:
    """The memory of one who has not judged a member yet, with what others found before.

    `rejections`: by member, whether each of its updates in the latest rounds was rejected.
    """
    mistrusted = {
        member: _MISTRUSTED
        for member, rejected in rejections.items()
        if member not in memory.standing and 2 * sum(rejected) > len(rejected) >= _FEW
    }
    return replace(memory, standing=MappingProxyType({**memory.standing, **mistrusted}))


def has_seen(memory: ScoringMemory, base: bytes) -> bool:
    """Whether it holds updates of the model `base` (SHA-256 of its bytes)."""
    return bool(np.any(memory.records["base"] == np.bytes_(base)))


def recall(
    memory: ScoringMemory, members: Sequence[int], sketches: Sketches, base: bytes
) -> ScoringMemory:
    """The memory with the updates of a round that this validator did not judge."""
    records = np.array([(memory.rounds, member, base) for member in members], _RECORD)
    return replace(
        memory,
        sketches=np.concatenate([memory.sketches, sketches]),
        records=np.concatenate([memory.records, records]),
    )


def _earlier(memory: ScoringMemory, member: int, base: bytes) -> NDArray[np.bool]:
    """The member's own updates, except for those of a round that is played again."""
    mine = memory.records["member"] == member
    earlier: NDArray[np.bool] = mine & (memory.records["base"] != np.bytes_(base))
    return earlier
