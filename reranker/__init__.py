"""Reranker: one request names a method, and so chooses speed or accuracy.

>>> from reranker import Reranker
>>> ranking = Reranker().rank("what is BM25?", ["a ranking function", "a car"], method="fast")

Importing this package loads neither torch nor a model.
"""

from reranker.engine import Reranker
from reranker.errors import (
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
)
from reranker.pipeline.registry import register
from reranker.settings import Settings
from reranker.types import Document, Ranking, RerankRequest, ScoredDocument, Usage

__all__ = [
    "DeadlineExceeded",
    "Document",
    "InferenceError",
    "InvalidRequest",
    "MissingExtra",
    "ModelUnavailable",
    "Overloaded",
    "PluginError",
    "Ranking",
    "RerankRequest",
    "Reranker",
    "RerankerError",
    "ScoredDocument",
    "Settings",
    "SettingsError",
    "UnknownMethod",
    "UnknownModel",
    "Usage",
    "__version__",
    "register",
]

__version__ = "0.1.0"
