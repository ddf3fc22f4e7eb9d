"""The node's data in the form a job asks for, and the job's validation set if it names one."""

from __future__ import annotations

import numpy as np

from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentTooLarge
from commonweal.learning.data import DataSource, InvalidData, LocalData, load_dataset
from commonweal.learning.footprint import estimate_judging, estimate_training
from commonweal.learning.weights import parameter_count, shapes_of
from commonweal.protocol.specs import CnnModel, DataSpec, JobSpec, ModelSpec
from commonweal.validation_sets import MAX_VALIDATION_BYTES, parse_validation_set
from node_agent.errors import JobNotServed


class LocalDataLibrary:
    def __init__(
        self,
        source: DataSource,
        fetcher: ContentFetcher,
        max_parameters: int = 2**31,
        families: tuple[str, ...] | None = None,
        max_memory: int | None = None,
    ) -> None:
        """`max_parameters`, `families`, `max_memory` (bytes): of models this machine works on."""
        self._max_memory = max_memory
        self._source = source
        self._max_parameters = max_parameters
        self._families = families
        self._fetcher = fetcher
        self._loaded: dict[DataSpec, LocalData] = {}

    def fetch(self, spec: JobSpec) -> LocalData:
        """Raises JobNotServed if this node's data are not what the job trains on."""
        if spec.data not in self._loaded:
            self._require_family(spec.model.family)
            require_consistent(spec, self._max_parameters)
            self._loaded[spec.data] = self._load(spec.data)
        return self._loaded[spec.data]

    def require_memory(self, spec: JobSpec, trainers: int) -> None:
        """Raises JobNotServed if judging so many updates, or training one, may take too much."""
        if self._max_memory is None:
            return
        need = max(estimate_training(spec), estimate_judging(spec, trainers))
        if need > self._max_memory:
            message = "may take more memory than this node gives: see jobs.max_memory_mib"
            raise JobNotServed(message, need=need, limit=self._max_memory, trainers=trainers)

    def _require_family(self, family: str) -> None:
        if self._families is not None and family not in self._families:
            message = "not a family of models this node works on: see jobs.families"
            raise JobNotServed(message, family=family, allowed=list(self._families))

    def _load(self, spec: DataSpec) -> LocalData:
        try:
            local = load_dataset(self._source, spec)
            if spec.validation is None:
                return local
            data = self._fetcher.fetch(spec.validation, max_bytes=self._largest_set())
            # It is what is judged by besides: no part of the node's own data is kept back for that.
            return LocalData(local.to_judge_by(), parse_validation_set(data, spec))
        except ContentTooLarge as error:
            message = "its validation set is larger than this node takes: see jobs.max_memory_mib"
            raise JobNotServed(message, **error.details) from error
        except InvalidData as error:
            raise JobNotServed(error.message, **error.details) from error

    def _largest_set(self) -> int:
        """It is held twice, and joined to the node's own data for training and for judging."""
        if self._max_memory is None:
            return MAX_VALIDATION_BYTES
        return min(MAX_VALIDATION_BYTES, self._max_memory // 4)


def require_consistent(spec: JobSpec, max_parameters: int) -> None:
    """The model must fit the data, and this machine. Raises JobNotServed."""
    have = parameter_count(shapes_of(spec.model))
    if have > max_parameters:
        raise JobNotServed("the job's model is too large", have=have, limit=max_parameters)
    features = int(np.prod(spec.data.features))
    inputs, classes = _model_size(spec.model)
    if (features, spec.data.classes) != (inputs, classes):
        raise JobNotServed(
            "the job's model does not fit its data",
            features=features,
            inputs=inputs,
            classes=spec.data.classes,
            outputs=classes,
        )


def _model_size(model: ModelSpec) -> tuple[int, int]:
    inputs = int(np.prod(model.shape)) if isinstance(model, CnnModel) else model.inputs
    return inputs, model.classes
