"""What both sides train: the same model, the same digits dealt alike, the same local steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from commonweal.devnet.network import DATA_ALPHA
from commonweal.learning.data import DigitsPart, DigitsSource
from commonweal.learning.weights import shapes_of
from commonweal.protocol.specs import (
    AggregationSpec,
    DataSpec,
    EncodingSpec,
    FloatEncoding,
    JobSpec,
    LimitsSpec,
    MlpModel,
    TrainingSpec,
)

_TRAINING = TrainingSpec(learning_rate=0.1, steps=5, batch_size=32, clip_norm=2.0)
HIDDEN = {100_000: (1333,), 10_000_000: (3128, 3128)}


@dataclass(frozen=True)
class Task:
    """`hidden` are the layers of a perceptron over 64 pixels and ten classes."""

    trainers: int
    hidden: tuple[int, ...]
    encoding: EncodingSpec = FloatEncoding()  # noqa: RUF009 - frozen
    seed: int = 0
    committee: int = 3

    @cached_property
    def spec(self) -> JobSpec:
        return JobSpec(
            name="a round's time",
            model=MlpModel(inputs=64, hidden=self.hidden, classes=10),
            training=_TRAINING,
            encoding=self.encoding,
            aggregation=AggregationSpec(),
            data=DataSpec(features=(64,), classes=10),
            limits=LimitsSpec(max_update_bytes=2**28),
        )

    @cached_property
    def parameters(self) -> int:
        total = 0
        for shape in shapes_of(self.spec.model).values():
            size = 1
            for length in shape:
                size *= length
            total += size
        return total

    def data_source(self, index: int) -> DigitsSource:
        """What trainer `index` has: on our side the local network deals the same parts."""
        part = DigitsPart(parts=self.trainers, index=index, alpha=DATA_ALPHA, seed=self.seed)
        return DigitsSource(part=part)
