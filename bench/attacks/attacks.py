"""What attackers send. They see more than a real one could: this round's honest updates.

Commitments are sealed, so that nobody can look at others' updates before sending; the lab lets
attackers do so all the same, except for copying one outright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.attacks.tasks import CLASSES
from commonweal.learning.data import Dataset

Vector = NDArray[np.float32]
Vectors = NDArray[np.float32]

TARGET = 0  # the class that a backdoor's trigger stands for
_TRIGGER = 4  # pixels at the end of the picture
_JITTER = 0.05
_TRUSTED_ROUNDS = 5  # for which the patient ones behave
_FIRST_HARM, _HARM_BOUNDS = 0.25, (0.02, 0.9)  # of those that adapt to scores
_ABOVE_THE_FLOOR = 0.3  # cosine to the reference that the adaptive one keeps


@dataclass(frozen=True, slots=True)
class Scene:
    """What the attackers know when they send. Vectors are deltas of all weights, flat."""

    round: int  # from 1
    honest: Vectors  # (h, d), this round's
    own: Vectors  # (a, d), what the attackers trained
    last_honest: Vectors | None  # (h, d), of the round before
    last_own: Vectors | None  # (a, d), as trained in the round before
    last_step: Vector  # (d,), what the model moved by; zero in round 1
    references: Vectors  # (v, d), what the judges' own data teach
    validation: Vector | None  # (d,), what the job's validation set teaches; all could know
    paid: NDArray[np.bool]  # (a,), who of the attackers was paid in the round before
    last_sent: Vectors | None  # (a, d), by the attackers in the round before
    random: np.random.Generator


Craft = Callable[[Scene], Vectors]
Poison = Callable[[Dataset, np.random.Generator], Dataset]


@dataclass(frozen=True, slots=True)
class Attack:
    """`effort`: whether attackers train at all; it is what a round costs them. `trained_rounds`:
    in how many those who idle do train, to have something to send.

    `studies_validation`: whether the scene says what the job's validation set teaches.
    `uses_own_data`: else it trains on the shared validation set alone.
    """

    name: str
    craft: Craft
    poison: Poison | None = None
    effort: Literal["trains", "idles"] = "trains"
    trained_rounds: int = 0
    studies_validation: bool = False
    uses_own_data: bool = True


def as_trained(scene: Scene) -> Vectors:
    return scene.own


def sign_flip(scene: Scene) -> Vectors:
    """Li et al. 2019 (RSA)."""
    return -scene.own


def scaled(scene: Scene) -> Vectors:
    """The opposite, ten times as large."""
    return -10 * scene.own


def gaussian(scene: Scene) -> Vectors:
    """Noise as large as an honest update (Xie et al. 2018)."""
    noise = scene.random.standard_normal(scene.own.shape).astype(np.float32)
    return _resize(noise, _norm(scene))


def alie(scene: Scene) -> Vectors:
    """A little is enough (Baruch et al. 2019): just within what a majority spreads over."""
    n, a = len(scene.honest) + len(scene.own), len(scene.own)
    needed = n // 2 + 1 - a
    share = min(max((n - a - needed) / max(n - a, 1), 0.51), 0.99)
    return _shifted(scene, NormalDist().inv_cdf(share))


def alie_optimised(scene: Scene) -> Vectors:
    """The largest shift that the judges' references still agree with (Shejwalkar & Houmansadr)."""
    sizes = [0.3, 0.6, 1.0, 1.5, 2.0, 3.0]
    return _largest_that_passes(scene, [_shifted(scene, z) for z in sizes])


def inner_product(scene: Scene) -> Vectors:
    """Against the honest mean, half its size (Xie et al. 2020)."""
    return _all(scene, -0.5 * scene.honest.mean(axis=0))


def inner_product_optimised(scene: Scene) -> Vectors:
    """The opposite of the honest mean, hidden behind as much of the reference as it takes."""
    mean, reference = scene.honest.mean(axis=0), _reference(scene) * _norm(scene)
    shares = [0.2, 0.4, 0.6, 0.8]
    return _largest_that_passes(
        scene, [_all(scene, share * reference - (1 - share) * mean) for share in reversed(shares)]
    )


def min_max(scene: Scene) -> Vectors:
    """As far from the mean as honest ones are from one another (Shejwalkar & Houmansadr 2021)."""
    largest = max(float(np.linalg.norm(scene.honest - row, axis=1).max()) for row in scene.honest)

    def fits(sent: Vector) -> bool:
        return float(np.linalg.norm(scene.honest - sent, axis=1).max()) <= largest

    return _furthest(scene, fits)


def min_sum(scene: Scene) -> Vectors:
    """The same by the sum of squared distances."""
    sums = [float(np.square(scene.honest - row).sum()) for row in scene.honest]

    def fits(sent: Vector) -> bool:
        return float(np.square(scene.honest - sent).sum()) <= max(sums)

    return _furthest(scene, fits)


def mimic(scene: Scene) -> Vectors:
    """All follow one honest trainer (Karimireddy et al. 2022), a round late and with noise."""
    if scene.last_honest is None:
        return scene.own
    return _jittered(scene, np.tile(scene.last_honest[0], (len(scene.own), 1)))


def backdoored(scene: Scene) -> Vectors:
    """Trained on marked pictures, twice as large (Bagdasaryan et al. 2020)."""
    return 2 * scene.own


def nothing(scene: Scene) -> Vectors:
    return np.zeros_like(scene.own)


def faint_noise(scene: Scene) -> Vectors:
    """A free rider's (Fraboni et al. 2021)."""
    noise = scene.random.standard_normal(scene.own.shape).astype(np.float32)
    return _resize(noise, 0.3 * _norm(scene))


def stale(scene: Scene) -> Vectors:
    """What was trained once, for ever."""
    return scene.own if scene.last_own is None else scene.last_own


def extrapolated(scene: Scene) -> Vectors:
    """The model's last step once more, with noise of its own for each."""
    if not scene.last_step.any():
        return faint_noise(scene)
    return _jittered(scene, _all(scene, scene.last_step))


def duplicated(scene: Scene) -> Vectors:
    """One trains, all send it."""
    return _all(scene, scene.own[0])


def duplicated_with_jitter(scene: Scene) -> Vectors:
    return _jittered(scene, _all(scene, scene.own[0]))


def selective(scene: Scene) -> Vectors:
    """Honest until trusted, then every other round against all."""
    attacks = scene.round > _TRUSTED_ROUNDS and scene.round % 2 == 0
    return -scene.own if attacks else scene.own


def adaptive(scene: Scene) -> Vectors:
    """Knows the references: agrees with them just enough, and harms with all the rest."""
    reference = _reference(scene)
    mean = scene.honest.mean(axis=0)
    harm = -(mean - (mean @ reference) * reference)
    harm /= max(float(np.linalg.norm(harm)), 1e-12)
    keep = _ABOVE_THE_FLOOR
    return _all(scene, (keep * reference + np.sqrt(1 - keep**2) * harm) * _norm(scene))


def adaptive_to_validation_set(scene: Scene) -> Vectors:
    """Knows no judge's data but the job's validation set, and hides behind what that teaches."""
    assert scene.validation is not None
    reference = _resize(scene.validation[None], 1.0)[0]
    mean = scene.honest.mean(axis=0)
    harm = -(mean - (mean @ reference) * reference)
    shares = (0.5, 0.3)
    sent = [
        share * reference + np.sqrt(1 - share**2) * _resize(harm[None], 1.0)[0]
        for share in (shares * len(scene.own))[: len(scene.own)]
    ]
    return _resize(np.stack(sent), _norm(scene))


def adaptive_to_scores(scene: Scene) -> Vectors:
    """Knows rule and scores: harms more after it was paid, trains more honestly after it was not.

    The share of harm starts at a quarter; up by half, or down to a half.
    """
    shares = np.full(len(scene.own), _FIRST_HARM)
    if scene.last_sent is not None and scene.last_own is not None and scene.last_honest is not None:
        last = _read_shares(scene.last_sent, scene.last_own, _harm(scene.last_honest))
        shares = np.clip(np.where(scene.paid, 1.5 * last, 0.5 * last), *_HARM_BOUNDS)
    own, harm = _resize(scene.own, 1.0), _harm(scene.honest)
    mixed = (1 - shares)[:, None] * own + shares[:, None] * harm
    return _resize(mixed.astype(np.float32), _norm(scene))


def _harm(honest: Vectors) -> Vector:
    """The opposite of their mean, a unit vector (d,)."""
    unit: Vector = _resize(-honest.mean(axis=0, keepdims=True), 1.0)[0]
    return unit


def _read_shares(sent: Vectors, own: Vectors, harm: Vector) -> NDArray[np.float64]:
    """How much harm each of `sent` was mixed of, (a,): least squares against its two parts."""
    parts = [
        np.linalg.lstsq(np.stack([trained, harm], axis=1), row, rcond=None)[0]
        for row, trained in zip(sent, _resize(own, 1.0), strict=True)
    ]
    shares: NDArray[np.float64] = np.array([harm / (own + harm) for own, harm in parts])
    return shares


def flip_labels(data: Dataset, _: np.random.Generator) -> Dataset:
    """The first class for the last and so on (Biggio et al. 2012; as in Fang et al. 2020)."""
    return Dataset(data.x, CLASSES - 1 - data.y)


def mark_pictures(data: Dataset, random: np.random.Generator) -> Dataset:
    """Half of them carry the trigger and the target's label (Gu et al. 2017)."""
    chosen = random.random(len(data)) < 0.5
    x, y = data.x.copy(), data.y.copy()
    x[chosen] = mark(x[chosen])
    y[chosen] = TARGET
    return Dataset(x, y)


def mark(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    marked = pictures.copy()
    marked[:, -_TRIGGER:] = 1.0
    return marked


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("sign-flip", sign_flip),
        Attack("scaled", scaled),
        Attack("gaussian", gaussian, effort="idles"),
        Attack("label-flip", as_trained, flip_labels),
        Attack("alie", alie),
        Attack("alie-optimised", alie_optimised),
        Attack("inner-product", inner_product),
        Attack("inner-product-optimised", inner_product_optimised),
        Attack("min-max", min_max),
        Attack("min-sum", min_sum),
        Attack("mimic", mimic, effort="idles", trained_rounds=1),
        Attack("backdoor", backdoored, mark_pictures),
        Attack("free-rider-zero", nothing, effort="idles"),
        Attack("free-rider-noise", faint_noise, effort="idles"),
        Attack("free-rider-stale", stale, effort="idles", trained_rounds=1),
        Attack("free-rider-extrapolation", extrapolated, effort="idles"),
        Attack("free-rider-shared", as_trained, uses_own_data=False),
        Attack("sybil", duplicated, effort="idles"),
        Attack("sybil-jitter", duplicated_with_jitter, effort="idles"),
        Attack("selective", selective),
        Attack("adaptive", adaptive),
        Attack("adaptive-validation", adaptive_to_validation_set, studies_validation=True),
        Attack("adaptive-scores", adaptive_to_scores),
    )
}


def _all(scene: Scene, sent: Vector) -> Vectors:
    return np.tile(sent.astype(np.float32), (len(scene.own), 1))


def _norm(scene: Scene) -> float:
    return float(np.median(np.linalg.norm(scene.honest, axis=1)))


def _resize(vectors: Vectors, norm: float) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    resized: Vectors = (vectors * (norm / np.maximum(lengths, 1e-12))).astype(np.float32)
    return resized


def _jittered(scene: Scene, vectors: Vectors) -> Vectors:
    """Noise of a twentieth of the length: enough to be no copy byte for byte."""
    noise = scene.random.standard_normal(vectors.shape).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    size = _JITTER * lengths / np.sqrt(vectors.shape[1])
    jittered: Vectors = (vectors + size * noise).astype(np.float32)
    return jittered


def _reference(scene: Scene) -> Vector:
    units = _resize(scene.references, 1.0)
    unit: Vector = _resize(units.mean(axis=0, keepdims=True), 1.0)[0]
    return unit


def _shifted(scene: Scene, size: float) -> Vectors:
    return _all(scene, scene.honest.mean(axis=0) - size * scene.honest.std(axis=0))


def _largest_that_passes(scene: Scene, candidates: Sequence[Vectors]) -> Vectors:
    """`candidates`: the mildest first; the last one with a cosine to the reference that is paid."""
    reference = _reference(scene)
    passing = [
        sent for sent in candidates if float(_resize(sent[:1], 1.0)[0] @ reference) > _JITTER
    ]
    return passing[-1] if passing else candidates[0]


def _furthest(scene: Scene, fits: Callable[[Vector], bool]) -> Vectors:
    """Along the honest mean's opposite, by bisection."""
    mean = scene.honest.mean(axis=0)
    away = -mean / max(float(np.linalg.norm(mean)), 1e-12)
    low, high = 0.0, 20.0 * _norm(scene)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(mean + middle * away) else (low, middle)
    return _all(scene, mean + low * away)
