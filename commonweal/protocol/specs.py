"""What a job declares: model, training, encoding, aggregation, scoring, data. No code, ever.

A `JobSpec` is what a requester writes and what its manifest holds; unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from commonweal.protocol.cids import InvalidCid, parse_cid


def _check_file_link(text: str) -> str:
    try:
        cid = parse_cid(text)
    except InvalidCid as error:
        raise ValueError(error.message) from error
    if cid.codec == "dag-cbor":
        raise ValueError("a file's CID has codec raw or dag-pb")
    return str(cid)


FileLink = Annotated[str, AfterValidator(_check_file_link)]
Extent = Annotated[int, Field(gt=0, le=2**26)]  # no model takes more values than that


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogisticModel(_Spec):
    family: Literal["logistic"] = "logistic"
    inputs: Annotated[int, Field(gt=0, le=1_000_000)]
    classes: Annotated[int, Field(ge=2, le=10_000)]


class MlpModel(_Spec):
    family: Literal["mlp"] = "mlp"
    inputs: Annotated[int, Field(gt=0, le=1_000_000)]
    hidden: Annotated[
        tuple[Annotated[int, Field(gt=0, le=65_536)], ...], Field(min_length=1, max_length=16)
    ]
    classes: Annotated[int, Field(ge=2, le=10_000)]


class CnnModel(_Spec):
    """Blocks of 3×3 convolution (padding 1), ReLU and 2×2 max pooling, then one linear layer."""

    family: Literal["cnn"] = "cnn"
    shape: tuple[
        Annotated[int, Field(gt=0, le=64)],
        Annotated[int, Field(gt=0, le=1024)],
        Annotated[int, Field(gt=0, le=1024)],
    ]
    channels: Annotated[
        tuple[Annotated[int, Field(gt=0, le=1024)], ...], Field(min_length=1, max_length=8)
    ]
    classes: Annotated[int, Field(ge=2, le=10_000)]

    @model_validator(mode="after")
    def _require_pixels_after_pooling(self) -> CnnModel:
        if min(self.shape[1:]) >> len(self.channels) == 0:
            raise ValueError(f"{len(self.channels)} poolings leave nothing of {self.shape}")
        return self


ModelSpec = Annotated[LogisticModel | MlpModel | CnnModel, Field(discriminator="family")]


class TrainingSpec(_Spec):
    optimiser: Literal["sgd", "adamw"] = "sgd"
    loss: Annotated[
        Literal["cross-entropy", "balanced-cross-entropy"],
        Field(description="balanced: local label frequencies are not learnt"),
    ] = "cross-entropy"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    steps: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="batches per round, instead of epochs")
    ] = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    proximal: Annotated[float, Field(ge=0, le=100, description="FedProx mu")] = 0.0
    clip_norm: Annotated[float | None, Field(gt=0)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _require_one_length(self) -> TrainingSpec:
        if self.steps is not None and self.epochs != 1:
            raise ValueError(f"steps {self.steps} and epochs {self.epochs}: give one of them")
        return self


BlockLength = Annotated[
    Literal[16, 32, 64, 128, 256, 512, 1024], Field(description="values that share one scale")
]
OneIn = Annotated[int, Field(ge=2, le=100_000, description="one value in so many is sent")]


class FloatEncoding(_Spec):
    kind: Literal["fp32", "fp16"] = "fp32"


class BlockEncoding(_Spec):
    """Integers of 8 or 4 bits, each block with a power-of-two scale."""

    kind: Literal["int8", "int4"]
    block: BlockLength = 128


class TopKEncoding(_Spec):
    """The values of greatest magnitude as float32, and where they stand."""

    kind: Literal["top-k"]
    one_in: OneIn = 32


class QuantisedTopKEncoding(_Spec):
    """The values of greatest magnitude as integers in blocks, and where they stand."""

    kind: Literal["top-k-int8", "top-k-int4"]
    one_in: OneIn = 32
    block: BlockLength = 64


EncodingSpec = Annotated[
    FloatEncoding | BlockEncoding | TopKEncoding | QuantisedTopKEncoding,
    Field(discriminator="kind"),
]


class ServerOptimiserSpec(_Spec):
    """What a round's step does to the model; adam and yogi as in Reddi et al. 2021."""

    kind: Literal["sgd", "nesterov", "adam", "yogi"] = "sgd"
    momentum: Annotated[
        float, Field(ge=0, lt=1, description="how much of the first moment a round keeps")
    ] = 0.0
    second_momentum: Annotated[
        float, Field(ge=0, lt=1, description="adam and yogi only, at least 0.5")
    ] = 0.99
    epsilon: Annotated[float, Field(ge=1e-8, le=1, description="adam and yogi only")] = 1e-3

    @model_validator(mode="after")
    def _require_momenta(self) -> ServerOptimiserSpec:
        """Or there would be jobs whose next model leaves float32's range, whoever computes it."""
        if self.kind == "nesterov" and self.momentum == 0:
            raise ValueError("nesterov without momentum is sgd")
        if self.kind in ("adam", "yogi") and self.second_momentum < 0.5:
            raise ValueError(f"second_momentum {self.second_momentum}, {self.kind} needs 0.5")
        return self


class AggregationSpec(_Spec):
    rule: Literal[
        "weighted-mean",
        "mean",
        "median",
        "trimmed-mean",
        "krum",
        "multi-krum",
        "geometric-median",
        "centred-clipping",
    ] = "weighted-mean"
    trim_bps: Annotated[
        int, Field(ge=0, lt=5000, description="cut from each end, trimmed-mean only")
    ] = 1000
    clip_to_median: Annotated[
        bool, Field(description="scale updates down to the median norm first")
    ] = True
    bucket_size: Annotated[
        int, Field(ge=1, le=64, description="updates averaged, in drawn groups, before the rule")
    ] = 1
    mix_neighbours: Annotated[
        bool, Field(description="replace each by the mean of its nearest, before the rule")
    ] = False
    byzantine_bps: Annotated[
        int, Field(ge=0, lt=5000, description="share of attackers that krum and mixing assume")
    ] = 2000
    iterations: Annotated[
        int, Field(ge=1, le=64, description="geometric-median and centred-clipping only")
    ] = 8
    clip_radius: Annotated[
        float | None, Field(gt=0, description="centred-clipping only; none: the median distance")
    ] = None
    server_learning_rate: Annotated[float, Field(gt=0, le=10)] = 1.0
    server_optimiser: ServerOptimiserSpec = ServerOptimiserSpec()


class ScoringSpec(_Spec):
    rule: Annotated[
        Literal["agreement-and-leave-one-out", "agreement", "leave-one-out", "shapley"],
        Field(description="the first, of many questions, is made for strangers' updates"),
    ] = "agreement-and-leave-one-out"
    reference_epochs: Annotated[int, Field(ge=1, le=1000)] = 1


class DataSpec(_Spec):
    """What the job's inputs look like; a node's own configuration says where its data are."""

    features: Annotated[tuple[Extent, ...], Field(min_length=1, max_length=4)]
    classes: Annotated[int, Field(ge=2, le=10_000)]
    validation: Annotated[
        FileLink | None, Field(description="CID of a validation set (safetensors: x, y)")
    ] = None
    share_validation: Annotated[
        bool, Field(description="trainers learn from the validation set as well as their own data")
    ] = False

    @model_validator(mode="after")
    def _require_what_is_shared(self) -> DataSpec:
        if self.share_validation and self.validation is None:
            raise ValueError("share_validation without a validation set: name one, or leave it out")
        return self


class LimitsSpec(_Spec):
    max_update_bytes: Annotated[int, Field(gt=0, le=2**32)] = 64 * 2**20


class JobSpec(_Spec):
    name: Annotated[str, Field(min_length=1, max_length=120)]
    model: ModelSpec
    training: TrainingSpec = TrainingSpec()
    encoding: EncodingSpec = FloatEncoding()
    aggregation: AggregationSpec = AggregationSpec()
    scoring: ScoringSpec = ScoringSpec()
    data: DataSpec
    limits: LimitsSpec = LimitsSpec()
