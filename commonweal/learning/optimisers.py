"""Local optimisers over torch's functional forms.

`torch.optim`'s classes import the compiler when the first one is made: 1.6 s and 75 MB per node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from commonweal.protocol.specs import TrainingSpec

if TYPE_CHECKING:
    from torch import Tensor


class Optimiser(Protocol):
    def step(self) -> None:
        """Move the weights along their gradients, then forget the gradients."""


def build_optimiser(spec: TrainingSpec, weights: list[Tensor]) -> Optimiser:
    return _AdamW(spec, weights) if spec.optimiser == "adamw" else _Sgd(spec, weights)


class _Sgd:
    def __init__(self, spec: TrainingSpec, weights: list[Tensor]) -> None:
        self._spec = spec
        self._weights = weights
        self._momenta: list[Tensor | None] = [None] * len(weights)

    def step(self) -> None:
        import torch
        from torch.optim.sgd import sgd

        with torch.no_grad():
            sgd(
                self._weights,
                _take_gradients(self._weights),
                self._momenta,
                foreach=False,
                weight_decay=self._spec.weight_decay,
                momentum=self._spec.momentum,
                lr=self._spec.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )


class _AdamW:
    def __init__(self, spec: TrainingSpec, weights: list[Tensor]) -> None:
        import torch

        self._spec = spec
        self._weights = weights
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]
        self._steps = [torch.tensor(0.0) for _ in weights]

    def step(self) -> None:
        import torch
        from torch.optim.adamw import adamw

        with torch.no_grad():
            adamw(
                self._weights,
                _take_gradients(self._weights),
                self._means,
                self._squares,
                [],
                self._steps,
                foreach=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self._spec.learning_rate,
                weight_decay=self._spec.weight_decay,
                eps=1e-8,
                maximize=False,
            )


def _take_gradients(weights: list[Tensor]) -> list[Tensor]:
    gradients = []
    for weight in weights:
        assert weight.grad is not None
        gradients.append(weight.grad)
        weight.grad = None
    return gradients
