"""A method is a pipeline of stages. Each scores the candidates that the stage before it kept.

A stage is a function of its `Candidates`: the request, the documents to score, and the outputs of
the stages before it. Whatever it computed and read is in the `StageOutput` that it returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from reranker.errors import InferenceError
from reranker.types import Ranking, RerankRequest, ScoredDocument, Span, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.roles import Encoded

Scale = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
BLANK_SCORE = 0.0  # the bottom of every method's public scale


@dataclass(frozen=True, slots=True)
class StageOutput:
    """The scores of a stage's n candidates, and what later stages or the caller may need.

    Attributes:
        values: (n,) the scores to rank on, finite, float32 or wider, before any squashing.
        features: named (n,) parts that `values` was fused from.
        truncated: (n,) bool, whether the document was cut, or None where the stage read no text.
        query_truncated: whether the query was cut.
        query_embedding: that of the query, where the stage encoded it.
        embeddings: those of the n candidates, where the stage encoded them.
        spans: returns the best-matching spans of candidate i; called only to explain a ranking.
        usage: all that the stage read.
        warnings: sentences for the caller.
    """

    values: NDArray[np.floating]
    features: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    truncated: NDArray[np.bool_] | None = None
    query_truncated: bool = False
    query_embedding: Encoded | None = None
    embeddings: Encoded | None = None
    spans: Callable[[int], tuple[Span, ...]] | None = None
    usage: Usage = field(default_factory=Usage)
    warnings: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.int64]) -> StageOutput:
        """Return the output of the candidates at (k,) rows, in that order."""
        spans = self.spans
        return replace(
            self,
            values=self.values[rows],
            features={name: values[rows] for name, values in self.features.items()},
            truncated=None if self.truncated is None else self.truncated[rows],
            embeddings=None if self.embeddings is None else _take_embeddings(self.embeddings, rows),
            spans=None if spans is None else lambda row: spans(int(rows[row])),
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """The documents that a stage scores.

    Attributes:
        request: the request they come from.
        indices: (n,) int64, their indices in the request; the best of the stage before first.
        previous: the outputs of the stages before, by stage name, in order; row i of each is
            that of candidate i.
    """

    request: RerankRequest
    indices: NDArray[np.int64]
    previous: Mapping[str, StageOutput] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def texts(self) -> list[str]:
        """Return the n texts to read: no blank ones, but some may be equal."""
        return [self.request.documents[i].text for i in self.indices]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: `score` returns one value per candidate, the best `keep` of them go on."""

    name: str
    score: Callable[[Candidates], StageOutput]
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages run in order, and the scale of the last one's scores.

    Blank documents reach no stage, so they cannot affect the others: they come last, by index,
    with the lowest score.

    Attributes:
        stages: at least one, each with a name of its own.
        scale: maps the last stage's (n,) values to public scores in [0, 1], without changing
            their order.
        models: the weights that are used, by role.
    """

    stages: tuple[Stage, ...]
    scale: Scale
    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {stage.name for stage in self.stages}
        if not names or len(names) < len(self.stages):
            raise ValueError("a pipeline needs at least one stage, each with a name of its own")

    def run(self, request: RerankRequest) -> Ranking:
        """Rank the request's documents.

        Raises:
            DeadlineExceeded: the request's deadline passed between or within stages.
            InferenceError: a stage returned a score that is not finite, or too few or too many.
        """
        execution = _Execution(request)
        for stage in self.stages:
            execution.score(stage)
        limit = min([len(request.documents), *(stage.keep for stage in self.stages if stage.keep)])
        results = execution.results(self.scale, limit)
        execution.seconds["total"] = time.perf_counter() - execution.start
        return Ranking(
            results=results,
            method=request.method,
            model=request.model,
            model_cross=request.model_cross if "cross-encoder" in self.models else None,
            stage1_top_k=request.stage1_top_k if len(self.stages) > 1 else None,
            models=self.models,
            seconds=execution.seconds,
            usage=execution.usage,
            truncated=tuple(sorted(execution.truncated)),
            query_truncated=execution.query_truncated,
            warnings=tuple(execution.warnings),
        )


class _Execution:
    """One request on its way through the stages: the candidates left, and the stages' outputs."""

    def __init__(self, request: RerankRequest) -> None:
        self.start = time.perf_counter()
        self.request = request
        self.blank = [i for i, document in enumerate(request.documents) if document.is_blank]
        self.indices = np.setdiff1d(np.arange(len(request.documents)), self.blank)
        self.order = np.arange(len(self.indices))  # rows of `indices` and of every output
        self.outputs: dict[str, StageOutput] = {}
        self.seconds: dict[str, float] = {}
        self.usage = Usage()
        self.warnings: dict[str, None] = {}
        self.truncated: set[int] = set()
        self.query_truncated = False

    def score(self, stage: Stage) -> None:
        """Let a stage score the candidates that are left, and keep its best."""
        if not self.indices.size:
            return
        self.request.context.check()
        start = time.perf_counter()
        if self.outputs:
            self.indices = self.indices[self.order]
            self.outputs = {name: each.take(self.order) for name, each in self.outputs.items()}
        output = stage.score(Candidates(self.request, self.indices, self.outputs))
        self._check(f"its {stage.name} stage", output.values, len(self.indices))
        # Best first, ties by request index; in float64, since unsigned values have no negative.
        self.order = np.lexsort((self.indices, -output.values.astype(np.float64)))[: stage.keep]
        self.outputs = {**self.outputs, stage.name: output}
        self.usage += output.usage
        self.warnings |= dict.fromkeys(output.warnings)
        self.query_truncated |= output.query_truncated
        if output.truncated is not None:
            self.truncated.update(self.indices[output.truncated].tolist())
        self.seconds[stage.name] = time.perf_counter() - start

    def results(self, scale: Scale, limit: int) -> tuple[ScoredDocument, ...]:
        """Return at most `limit` documents that the request asks for: best first, blank ones last.

        Raises:
            InferenceError: the scale returned a score that is not finite, or too few or too many.
        """
        last = next(reversed(self.outputs.values()), None)
        values = np.zeros(0) if last is None else last.values[self.order].astype(np.float64)
        scores = scale(values)
        self._check("its scale", scores, len(values))
        indices, rows = self.indices[self.order].tolist(), self.order.tolist()
        found: list[tuple[int, float, int | None]] = [
            *zip(indices, scores.tolist(), rows, strict=True),
            *((index, BLANK_SCORE, None) for index in self.blank),
        ][:limit]
        threshold = self.request.score_threshold
        if threshold is not None:
            found = [each for each in found if each[1] >= threshold]
        return tuple(self._result(*each) for each in found[: self.request.top_n])

    def _result(self, index: int, score: float, row: int | None) -> ScoredDocument:
        """Return a document with what every stage returned for it; no stage saw a blank one."""
        document = self.request.documents[index]
        if row is None:
            return ScoredDocument(index, score, document)
        outputs = self.outputs
        spans: tuple[Span, ...] = ()
        for output in outputs.values():
            if output.spans is not None and self.request.explain:
                spans = output.spans(row)
        return ScoredDocument(
            index=index,
            score=score,
            document=document,
            stages={name: float(output.values[row]) for name, output in outputs.items()},
            features={
                name: float(values[row])
                for output in outputs.values()
                for name, values in output.features.items()
            },
            spans=spans,
            truncated=index in self.truncated,
        )

    def _check(self, who: str, scores: NDArray[np.floating], count: int) -> None:
        failed, shape = f"method {self.request.method!r} failed: {who} returned", np.shape(scores)
        if shape != (count,):
            raise InferenceError(f"{failed} scores of shape {shape} for {count} documents")
        if not np.isfinite(scores).all():
            raise InferenceError(f"{failed} a score that is not finite")


def _take_embeddings(encoded: Encoded, rows: NDArray[np.int64]) -> Encoded:
    _, first, distinct = np.unique(encoded.distinct[rows], return_index=True, return_inverse=True)
    tokens = encoded.tokens
    return replace(
        encoded,
        vectors=encoded.vectors[rows],
        tokens=None if tokens is None else tuple(tokens[row] for row in rows),
        truncated=encoded.truncated[rows],
        distinct=np.argsort(np.argsort(first))[distinct],  # numbered by first appearance again
    )
