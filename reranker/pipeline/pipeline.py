"""A method is a pipeline of stages. Each scores the candidates that the stage before it kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reranker.errors import InferenceError
from reranker.types import Ranking, RerankRequest, ScoredDocument, Span, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
BLANK_SCORE = 0.0  # the bottom of every method's public scale


@dataclass(frozen=True, slots=True)
class StageOutput:
    """What one stage says of its n candidates.

    Attributes:
        values: (n,) the scores to rank on, float32 or wider, before any squashing.
        features: named (n,) parts that `values` was fused from.
        truncated: (n,) bool, or None where the stage read no text.
        query_truncated: whether the query was cut.
        spans: one function per call, giving the best-matching spans of candidate i.
        usage: what the stage cost.
        warnings: sentences for the caller.
    """

    values: NDArray[np.floating]
    features: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    truncated: NDArray[np.bool_] | None = None
    query_truncated: bool = False
    spans: Callable[[int], tuple[Span, ...]] | None = None
    usage: Usage = field(default_factory=Usage)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: `score` maps (k,) request indices to k scores, `keep` bounds how many go on."""

    name: str
    score: Callable[[NDArray[np.int64]], StageOutput]
    keep: int | None = None


def cosine_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map a cosine to [0, 1] by (1 + cos) / 2."""
    return np.clip((1.0 + values) / 2.0, 0.0, 1.0)


def sigmoid_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map a logit to (0, 1)."""
    from scipy.special import expit

    return np.asarray(expit(values), dtype=np.float64)


def best_first(values: NDArray[np.floating], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions that sort by value, descending, ties by request index."""
    return np.lexsort((indices, -values))


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages run in order, and the scale of the last one's scores.

    Blank documents never meet a model: they come last, by index, with the lowest score,
    and so cannot disturb the others.
    """

    stages: tuple[Stage, ...]
    scale: Scale
    models: Mapping[str, str] = field(default_factory=dict)

    def run(self, request: RerankRequest) -> Ranking:
        """Rank the request's documents.

        Raises:
            DeadlineExceeded: the request's deadline passed between or within stages.
            InferenceError: a stage returned a score that is not finite.
        """
        start = time.perf_counter()
        trace = _Trace(request)
        blank = [i for i, document in enumerate(request.documents) if document.is_blank]
        kept = np.setdiff1d(np.arange(len(request.documents)), blank)
        values: NDArray[np.floating] = np.zeros(0)
        limit = len(request.documents)
        for stage in self.stages:
            limit = min(limit, stage.keep or limit)
            if kept.size:
                kept, values = trace.run(stage, kept)
        scores = self.scale(values.astype(np.float64))
        scored = [
            *zip(kept.tolist(), scores.tolist(), strict=True),
            *((i, BLANK_SCORE) for i in blank),
        ]
        results = tuple(trace.result(i, score) for i, score in _cut(scored[:limit], request))
        return Ranking(
            results=results,
            method=request.method,
            model=request.model,
            model_cross=request.model_cross if "cross-encoder" in self.models else None,
            stage1_top_k=request.stage1_top_k if len(self.stages) > 1 else None,
            models=self.models,
            seconds={**trace.seconds, "total": time.perf_counter() - start},
            usage=trace.usage,
            truncated=tuple(sorted(trace.truncated)),
            query_truncated=trace.query_truncated,
            warnings=tuple(trace.warnings),
        )


def _cut(scored: list[tuple[int, float]], request: RerankRequest) -> list[tuple[int, float]]:
    threshold = request.score_threshold
    if threshold is not None:
        scored = [(index, score) for index, score in scored if score >= threshold]
    return scored[: request.top_n]


class _Trace:
    """What the stages of one run said, kept to tell the caller."""

    def __init__(self, request: RerankRequest) -> None:
        self.request = request
        self.seconds: dict[str, float] = {}
        self.usage = Usage()
        self.warnings: list[str] = []
        self.truncated: set[int] = set()
        self.query_truncated = False
        self.said: list[tuple[Stage, dict[int, int], StageOutput]] = []

    def run(
        self, stage: Stage, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Run one stage; return the indices it keeps, best first, and their scores."""
        self.request.context.check()
        start = time.perf_counter()
        said = stage.score(indices)
        if not np.isfinite(said.values).all():
            raise InferenceError(f"the {stage.name} stage returned a score that is not finite")
        order = best_first(said.values, indices)[: stage.keep]
        self.seconds[stage.name] = time.perf_counter() - start
        self.usage += said.usage
        self.warnings += [text for text in said.warnings if text not in self.warnings]
        if said.truncated is not None:
            self.truncated.update(int(i) for i in indices[said.truncated])
        self.query_truncated |= said.query_truncated
        self.said.append((stage, {int(i): at for at, i in enumerate(indices)}, said))
        return indices[order], said.values[order]

    def result(self, index: int, score: float) -> ScoredDocument:
        """Return the document with all that the stages said of it."""
        stages: dict[str, float] = {}
        features: dict[str, float] = {}
        spans: tuple[Span, ...] = ()
        for stage, position, said in self.said:
            at = position.get(index)
            if at is None:
                continue
            stages[stage.name] = float(said.values[at])
            features.update({name: float(values[at]) for name, values in said.features.items()})
            if said.spans is not None and self.request.explain:
                spans = said.spans(at)
        return ScoredDocument(
            index=index,
            score=score,
            document=self.request.documents[index],
            stages=stages,
            features=features,
            spans=spans,
            truncated=index in self.truncated,
        )
