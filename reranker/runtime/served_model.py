"""A loaded model of any family, served.

Distinct texts are found once, results are looked up in the caches, the next part is tokenized
while the current one runs, the work of all requests is merged into batches, a backend runs them,
and what came out is checked and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch

from reranker.backends.exports import offer_exports, prepack_weights
from reranker.backends.fingerprint import fingerprint
from reranker.backends.torch_backend import TorchBackend
from reranker.backends.tuning.autotune import autotune, default_concurrency
from reranker.backends.tuning.calibration_texts import batches, passages
from reranker.backends.variants import ExecutionVariants
from reranker.cache.lru import Cache, cache_keys
from reranker.cache.tier import SharedTier, Store
from reranker.errors import InferenceError
from reranker.families.base import FamilyModel, Features, Item, Reading
from reranker.scheduling.batch_runner import SchedulerConfig
from reranker.scheduling.prefetch import map_with_prefetch, prefetch_size
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import IntraOpThreads, torch_threads
from reranker.types import RequestContext

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.backends.device import DeviceConfig
    from reranker.backends.tuning.autotune import TuningResult
    from reranker.tokenization.tokenizer import TextTokenizer

OptionsT = TypeVar("OptionsT")
RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class Completed(Generic[RecordT]):
    """The records of a request's texts.

    Attributes:
        reading: how they were read.
        records: of the distinct texts, in order of first appearance.
        distinct: (n,) int64, for each text the position of its record.
        cached: how many of the records came from a cache.
    """

    reading: Reading[Any, RecordT]
    records: list[RecordT]
    distinct: NDArray[np.int64]
    cached: int


class ServedModel(Generic[OptionsT, RecordT]):
    """A model of any family behind caches, a scheduler and a backend.

    Args:
        name: catalogue id of the weights.
        family: its family's name.
        model: as its family loaded it.
        digest: of the weights.
        config: where and how it runs.
        cache_bytes: the most memory for results; 0 keeps none.
        store: where results are kept for other processes, too.

    Raises:
        ModelUnavailable: the backend that was asked for cannot run it.
    """

    def __init__(
        self,
        name: str,
        family: str,
        model: FamilyModel[OptionsT, Any, RecordT],
        digest: str,
        config: DeviceConfig,
        cache_bytes: int = 0,
        store: Store | None = None,
    ) -> None:
        self.name = name
        self.family = family
        self.model = model
        self.digest = digest
        self.config = config
        self.variants = ExecutionVariants(_torch_backend(name, model.network, config))
        self.cache: Cache[RecordT] = Cache(cache_bytes, model.codec.size)
        threads = torch_threads(config.threads) if config.device == "cpu" else IntraOpThreads()
        self.scheduler: BatchScheduler[Item, RecordT] = BatchScheduler(
            name,
            self._forward,
            attrgetter("length"),
            SchedulerConfig(config.max_batch_tokens),
            threads,
        )
        self.weight_bytes = memory_of(model.weights)
        self._warming = threading.Lock()
        self._prepare(store)

    @property
    def window(self) -> int:
        """The most tokens it reads of an input, special ones included."""
        return self.model.window

    @property
    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer, where the model has one to show."""
        return self.model.tokenizer

    def complete(
        self, options: OptionsT, texts: Sequence[str], context: RequestContext
    ) -> Completed[RecordT]:
        """Return the records of texts, computing those that are in no cache.

        Raises:
            DeadlineExceeded: the deadline passed first, or the caller has gone.
            InferenceError: the model failed on one of these texts.
            ModelUnavailable: the model is being closed.
        """
        reading = self.model.read(options)
        positions: dict[str, int] = {}
        distinct = np.array(
            [positions.setdefault(text, len(positions)) for text in texts], dtype=np.int64
        )
        keys = cache_keys(reading.scope, positions)
        ordered = list(positions)
        records, cached = self.cache.complete(
            keys,
            lambda missing: self._compute(reading, [ordered[i] for i in missing], context),
            usable=reading.accepts,
            kind=reading.kind,
        )
        return Completed(reading, records, distinct, cached)

    def warm(self) -> TuningResult | None:
        """Run once, so that no request pays for first-time set-up, and measure what is left open.

        Returns:
            What was measured and chosen; None where every choice was made by settings.
        """
        with self._warming:
            self.scheduler(self.model.sample_items(["warm-up"], 16), RequestContext())
            if not self.config.autotune:
                return None
            exact = self.config.dtype == "float32"
            if exact and self.config.backend == "auto":  # in fewer bits no export agrees
                offer_exports(self, self.config)
            return autotune(self, self.config.batch_token_candidates, exact=exact)

    def probe(self, count: int, length: int) -> Callable[[], NDArray[np.float32]]:
        """Return what runs that many texts of that many tokens; see `Tunable`."""
        items = self.model.sample_items(passages(count), length)
        return lambda: self.model.outputs(self._forward(items))

    def export_samples(self) -> list[Features]:
        """Return batches of real text as the network reads them; see `Exportable`."""
        trials = batches(self.window)
        return [self.model.features(self.model.sample_items(*trial)) for trial in trials]

    def close(self) -> None:
        """Stop the workers."""
        self.scheduler.close()

    def _prepare(self, store: Store | None) -> None:
        """Choose the backend as settings say, before the first request."""
        self.scheduler.threads.use(self.config.threads)
        if self.config.backend == "openvino":
            offer_exports(self, self.config)
        if store is not None:  # before packing: the fingerprint is of plain weights
            namespace = fingerprint(self.model.weights, self.model.definition)
            self.cache.shared = SharedTier(
                store, lambda: f"{namespace}:{self.variants.backend}", self.model.codec
            )
        prepack_weights(self, self.config.dtype)
        self.scheduler.config = SchedulerConfig(
            self.config.max_batch_tokens, default_concurrency(self)
        )

    def _compute(
        self, reading: Reading[Any, RecordT], texts: list[str], context: RequestContext
    ) -> list[RecordT]:
        return map_with_prefetch(
            texts,
            reading.prepare,
            lambda items: self.scheduler(items, context),
            prefetch_size(self.scheduler.config.max_batch_tokens),
        )

    @torch.inference_mode()
    def _forward(self, items: list[Any]) -> list[RecordT]:
        """Compute a batch; called on workers, or while they wait."""
        records = self.model.forward(items, self.variants.run)
        if not np.isfinite(self.model.outputs(records)).all():
            raise InferenceError(f"model {self.name!r} returned a score that is not finite")
        return records


def memory_of(modules: Sequence[torch.nn.Module]) -> int:
    """Return the bytes of all parameters, which are fewer once weights are packed."""
    parameters = (each for module in modules for each in module.parameters())
    return sum(each.numel() * each.element_size() for each in parameters)


def _torch_backend(
    name: str, network: torch.nn.Module | None, config: DeviceConfig
) -> TorchBackend | None:
    if network is None:
        return None
    return TorchBackend(name, network, config.attn_implementation, config.cpu_weight_layout)
