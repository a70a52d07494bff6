"""Reranker: one request names a method, and so chooses speed or accuracy.

>>> from reranker import Reranker
>>> ranking = Reranker().rank("what is BM25?", ["a ranking function", "a car"], method="fast")

Importing this package loads neither torch nor a model. What a plug-in needs is exported here too:
pipelines, stages, the models' protocols, requests, results and errors.
"""

from reranker.engine import Reranker
from reranker.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceError,
    InvalidRequest,
    MissingExtra,
    ModelUnavailable,
    Overloaded,
    PluginError,
    RerankerError,
    SettingsError,
    UnknownMethod,
    UnknownModel,
    UnusableModel,
)
from reranker.families.roles import BiEncoder, CrossEncoder, Encoded, Scored, TokenVectors
from reranker.hub.base import ModelPool
from reranker.operations.embedding import Embeddings, EmbedRequest, TokenizedTexts, TokenizeRequest
from reranker.pipeline.pipeline import Candidates, Pipeline, Stage, StageOutput
from reranker.pipeline.registry import register
from reranker.pipeline.stages import (
    BiEncoderStage,
    CrossEncoderStage,
    cosine_scale,
    sigmoid_scale,
)
from reranker.settings import Settings
from reranker.types import (
    Document,
    Ranking,
    RequestContext,
    RerankRequest,
    ScoredDocument,
    Span,
    Usage,
)

__all__ = [
    "BiEncoder",
    "BiEncoderStage",
    "Cancelled",
    "Candidates",
    "CrossEncoder",
    "CrossEncoderStage",
    "DeadlineExceeded",
    "Document",
    "EmbedRequest",
    "Embeddings",
    "Encoded",
    "InferenceError",
    "InvalidRequest",
    "MissingExtra",
    "ModelPool",
    "ModelUnavailable",
    "Overloaded",
    "Pipeline",
    "PluginError",
    "Ranking",
    "RequestContext",
    "RerankRequest",
    "Reranker",
    "RerankerError",
    "Scored",
    "ScoredDocument",
    "Settings",
    "SettingsError",
    "Span",
    "Stage",
    "StageOutput",
    "TokenVectors",
    "TokenizeRequest",
    "TokenizedTexts",
    "UnknownMethod",
    "UnknownModel",
    "UnusableModel",
    "Usage",
    "__version__",
    "cosine_scale",
    "register",
    "sigmoid_scale",
]

__version__ = "0.1.0"
