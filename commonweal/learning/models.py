"""Declared model families as torch functions over named weights. Torch is imported when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from commonweal.protocol.specs import CnnModel, LogisticModel, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor


def forward(model: ModelSpec, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits (n, classes) for inputs (n, *features)."""
    if isinstance(model, CnnModel):
        hidden = _convolve(model, weights, x)
    elif isinstance(model, LogisticModel):
        hidden = x.flatten(1)
    else:
        hidden = x.flatten(1)
        for depth in range(len(model.hidden)):
            hidden = _linear(weights, f"hidden{depth:02}", hidden).relu_()
    return _linear(weights, "output", hidden)


def _linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _convolve(model: CnnModel, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    from torch.nn import functional

    hidden = x.reshape(len(x), *model.shape)
    for depth in range(len(model.channels)):
        kernel, bias = weights[f"conv{depth:02}.weight"], weights[f"conv{depth:02}.bias"]
        hidden = functional.conv2d(hidden, kernel, bias, padding=1).relu_()
        hidden = functional.max_pool2d(hidden, 2)
    return hidden.flatten(1)
