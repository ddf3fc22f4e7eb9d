"""Local training and evaluation: seeded, one thread, the same bytes from run to run on one machine.

Torch is imported when used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InvalidInput
from commonweal.learning.data import Dataset
from commonweal.learning.models import forward
from commonweal.learning.optimisers import build_optimiser
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec, TrainingSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Samples at once: on a processor what the layers put out stays in its cache.
_CPU_BATCH, _GPU_BATCH = 256, 4096


class TrainingDiverged(InvalidInput):
    code = "training-diverged"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Of the last pass's samples, each as it was met: mean loss without the proximal term, and
    the share whose label the model gave the highest logit.
    """

    weights: Weights
    samples: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Samples gone through and to go through, passes counted; the last batch's mean loss."""

    done: int
    total: int
    loss: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    loss: float
    accuracy: float


def train(
    spec: JobSpec,
    weights: Weights,
    data: Dataset,
    *,
    seed: int,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> TrainingResult:
    """Train from `weights` as the spec says; `seed` orders the batches. Inputs are not changed.

    `on_progress` is called after every batch and must be quick.
    Raises TrainingDiverged when a weight or the loss is no longer finite.
    """
    with _deterministic() as device:
        run = _Run(spec, weights, data, device, on_progress)
        generator = np.random.Generator(np.random.PCG64([spec.training.seed, seed]))
        loss, accuracy = math.nan, math.nan
        for size in _passes(spec.training, len(data)):
            loss, accuracy = run.epoch(generator.permutation(len(data))[:size])
        trained = {name: tensor.detach().cpu().numpy() for name, tensor in run.weights.items()}
    if not (math.isfinite(loss) and all(np.isfinite(tensor).all() for tensor in trained.values())):
        raise TrainingDiverged("training diverged", loss=str(loss), samples=len(data))
    return TrainingResult(trained, len(data), loss, accuracy)


def evaluate(spec: JobSpec, weights: Weights, data: Dataset) -> Evaluation:
    """Mean cross-entropy and accuracy of a model."""
    losses, hits = evaluate_samples(spec, weights, data)
    return Evaluation(float(losses.mean()), float(hits.mean()))


def evaluate_samples(
    spec: JobSpec, weights: Weights, data: Dataset
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool]]]:
    """Cross-entropy and correctness of each sample, both of shape (n,)."""
    import torch
    from torch.nn import functional

    with _deterministic() as device, torch.no_grad():
        tensors = _view_tensors(weights, device)
        losses, hits = [], []
        size = _batch_size(device)
        for start in range(0, len(data), size):
            rows = slice(start, start + size)
            y = torch.as_tensor(data.y[rows], device=device)
            logits = forward(spec.model, tensors, torch.as_tensor(data.x[rows], device=device))
            losses.append(functional.cross_entropy(logits, y, reduction="none").double().cpu())
            hits.append((logits.argmax(1) == y).cpu())
        return torch.cat(losses).numpy(), torch.cat(hits).numpy()


def predict(
    spec: JobSpec, weights: Weights, x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Probability of each class for each sample, (n, classes)."""
    import torch

    with _deterministic() as device, torch.no_grad():
        tensors = _view_tensors(weights, device)
        batches = torch.split(torch.as_tensor(x, device=device), _batch_size(device))
        logits = [forward(spec.model, tensors, batch) for batch in batches]
        probabilities: np.ndarray[tuple[int, int], np.dtype[np.float32]]
        probabilities = torch.cat(logits).softmax(dim=1).cpu().numpy()
        return probabilities


def _passes(training: TrainingSpec, samples: int) -> list[int]:
    """Samples to take in each pass over the data: all, or in the last what is left of `steps`."""
    if training.steps is None:
        return [samples] * training.epochs
    per_epoch = -(-samples // training.batch_size)
    whole, left = divmod(training.steps, per_epoch)
    return [samples] * whole + [left * training.batch_size] * (left > 0)


class _Run:
    """One training run: the weights in work, their optimiser and the data on the device."""

    def __init__(
        self,
        spec: JobSpec,
        weights: Weights,
        data: Dataset,
        device: torch.device,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        import torch

        self.spec = spec
        self.on_progress = on_progress
        self.done, self.total = 0, sum(_passes(spec.training, len(data)))
        self.start = _to_tensors(weights, device)
        self.weights = {name: t.clone().requires_grad_() for name, t in self.start.items()}
        self.optimiser = build_optimiser(spec.training, list(self.weights.values()))
        self.x = torch.as_tensor(data.x, device=device)
        self.y = torch.as_tensor(data.y, device=device)
        self.prior = _log_prior(spec, data).to(device)

    def epoch(self, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[float, float]:
        """Mean loss and accuracy over the samples in `order`."""
        import torch

        size, total, hits = self.spec.training.batch_size, 0.0, 0
        for start in range(0, len(order), size):
            rows = torch.as_tensor(order[start : start + size], device=self.x.device)
            loss, right = self._step(rows)
            total += loss * len(rows)
            hits += right
            self._report(len(rows), loss)
        return total / len(order), hits / len(order)

    def _report(self, samples: int, loss: float) -> None:
        self.done += samples
        if self.on_progress is not None:
            self.on_progress(TrainingProgress(self.done, self.total, loss))

    def _step(self, rows: Tensor) -> tuple[float, int]:
        """The batch's mean loss, and how many of its labels the model gave before it learned."""
        import torch
        from torch.nn import functional

        logits, labels = forward(self.spec.model, self.weights, self.x[rows]), self.y[rows]
        loss = functional.cross_entropy(logits + self.prior, labels)
        (loss + self._proximal_term()).backward()  # type: ignore[no-untyped-call]
        if self.spec.training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.spec.training.clip_norm)
        self.optimiser.step()
        return float(loss.detach()), int((logits.argmax(1) == labels).sum())

    def _proximal_term(self) -> Tensor | float:
        """FedProx (Li et al. 2020): half mu times the squared distance from the parent."""
        mu = self.spec.training.proximal
        if mu == 0:
            return 0.0
        distances = [(t - self.start[name]).square().sum() for name, t in self.weights.items()]
        return 0.5 * mu * sum(distances[1:], distances[0])


def _log_prior(spec: JobSpec, data: Dataset) -> Tensor:
    """What is added to the logits in training, (classes,).

    With balanced cross-entropy the log of the node's label frequencies, so that the update does
    not teach the model this node's label mix (logit adjustment, Menon et al. 2021; FedLC,
    Zhang et al. 2022). A label the node does not have gets a tenth of a sample.
    """
    import torch

    counts = np.bincount(data.y, minlength=spec.data.classes).astype(np.float64)
    if spec.training.loss == "cross-entropy":
        return torch.zeros(len(counts))
    return torch.as_tensor(np.log((counts + 0.1) / counts.sum()), dtype=torch.float32)


def _batch_size(device: torch.device) -> int:
    return _CPU_BATCH if device.type == "cpu" else _GPU_BATCH


def _to_tensors(weights: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    import torch

    return {name: torch.tensor(tensor, device=device) for name, tensor in weights.items()}


def _view_tensors(weights: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """To be read only: no copies of what torch can use as it is."""
    import torch

    return {
        name: torch.as_tensor(tensor, device=device)
        if tensor.flags.writeable
        else torch.tensor(tensor, device=device)  # torch warns of what it cannot write to
        for name, tensor in weights.items()
    }


@contextmanager
def _deterministic() -> Iterator[torch.device]:
    """One thread and deterministic kernels within, the process's own settings after."""
    import torch

    device = torch.device("cpu")
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may reorder sums
        device = torch.device("cuda")
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    # Not use_deterministic_algorithms: that imports the compiler, which takes seconds per node.
    torch.set_deterministic_debug_mode("error")
    try:
        yield device
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
