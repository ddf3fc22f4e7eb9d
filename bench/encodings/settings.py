"""What is compared: every encoding in the same rounds, and long local phases with rare rounds."""

from __future__ import annotations

from dataclasses import replace

from bench.encodings.federation import Setting
from commonweal.protocol.specs import (
    BlockEncoding,
    EncodingSpec,
    FloatEncoding,
    QuantisedTopKEncoding,
    ServerOptimiserSpec,
    TopKEncoding,
)

FP32 = FloatEncoding(kind="fp32")
ENCODINGS: dict[str, EncodingSpec] = {
    "fp32": FP32,
    "fp16": FloatEncoding(kind="fp16"),
    "int8": BlockEncoding(kind="int8", block=128),
    "int4": BlockEncoding(kind="int4", block=64),
    "top-k 1/16": TopKEncoding(kind="top-k", one_in=16),
    "top-k-int8 1/8": QuantisedTopKEncoding(kind="top-k-int8", one_in=8),
    "top-k-int8 1/32": QuantisedTopKEncoding(kind="top-k-int8", one_in=32),
    "top-k-int4 1/64": QuantisedTopKEncoding(kind="top-k-int4", one_in=64),
}
LONG_ENCODINGS = ("fp32", "top-k-int8 1/8", "top-k-int8 1/32")
SYNCHRONOUS = "synchronous SGD"
_MOMENTUM = ServerOptimiserSpec(kind="sgd", momentum=0.9)  # as the trainers have it
_NESTEROV = ServerOptimiserSpec(kind="nesterov", momentum=0.5)


def encoding_settings(*, quick: bool) -> list[Setting]:
    """The same rounds for each encoding; the first is float32."""
    rounds = 6 if quick else 24
    names = ("fp32", "int8", "top-k-int8 1/32") if quick else tuple(ENCODINGS)
    return [_setting(name, ENCODINGS[name], rounds, steps=8) for name in names]


def phase_settings(*, quick: bool) -> list[Setting]:
    """Each trainer sees as many samples in all; the first sends a gradient for every batch."""
    total, long = (64, 16) if quick else (512, 32)  # batches of one trainer: in all, per round
    names = ("top-k-int8 1/8",) if quick else LONG_ENCODINGS
    synchronous = replace(_setting(SYNCHRONOUS, FP32, total, steps=1), server=_MOMENTUM)
    return [synchronous, *(_long_setting(name, total // long, long) for name in names)]


def _long_setting(name: str, rounds: int, steps: int) -> Setting:
    """DiLoCo (Douillard et al. 2023): many local steps, then an outer step with Nesterov."""
    setting = _setting(f"{steps} steps, {name}", ENCODINGS[name], rounds, steps)
    return replace(setting, server=_NESTEROV, server_learning_rate=0.8)


def _setting(name: str, encoding: EncodingSpec, rounds: int, steps: int) -> Setting:
    return Setting(name, encoding, rounds, steps, batch=32)
