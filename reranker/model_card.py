"""What a model is before it is loaded: its card, and the checkpoint that the card leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from reranker.errors import UnusableModel

Role = Literal["bi-encoder", "cross-encoder"]
ROLES: tuple[Role, ...] = ("bi-encoder", "cross-encoder")

_TOKENIZERS = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Where a model comes from and what it is.

    Attributes:
        id: the name it is reported under.
        role: what it is used as.
        aliases: further ids.
        path: a local folder; looked at first.
        package: an installed package that carries it in `package_folder`; looked at second.
        install: the command that installs the package.
        repo: on the hub, at `revision`; the local hub cache is looked at before the network.
        revision: commit of the repo.
        sha256: of `model.safetensors`, checked before it is read.
        weights: the weights file, where it is not safetensors; allowed for catalogued models only.
        heads: whether multi-vector and sparse heads lie beside the weights.
        overlay: trained layers shipped with this package, laid over the weights of `base`.
        base: id of the model that an overlay goes over.
        pooling: for a bi-encoder folder without a `modules.json`: "cls" or "mean".
        max_tokens: bounds the window that the model declares.
        backend: that runs it; None is the engine's setting.
        matryoshka: whether it was trained so that vectors may be cut short.
        license: of the weights.
        languages: it was trained for.
    """

    id: str
    role: Role
    aliases: tuple[str, ...] = ()
    path: Path | None = None
    package: str | None = None
    package_folder: str = ""
    install: str | None = None
    repo: str | None = None
    revision: str | None = None
    sha256: str | None = None
    weights: str | None = None
    heads: bool = False
    overlay: str | None = None
    base: str | None = None
    pooling: str | None = None
    max_tokens: int | None = None
    backend: str | None = None
    matryoshka: bool = False
    license: str = "unknown"
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this machine; what families look at to tell whether it is theirs.

    Attributes:
        card: the model's card.
        folder: with its files.
        weights: the weights file, or the index of several shards; None where there is none.
        digest: of all weights.
        overlay: folder of trained layers that go over those weights.
    """

    card: ModelCard
    folder: Path
    weights: Path | None
    digest: str
    overlay: Path | None = None

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The contents of `config.json`, empty where there is none.

        Raises:
            UnusableModel: it is broken.
        """
        found: Mapping[str, Any] = self._json("config.json", {})
        return found

    @cached_property
    def modules(self) -> Sequence[Mapping[str, Any]]:
        """The contents of `modules.json`, empty where there is none; raises as `config` does."""
        found: Sequence[Mapping[str, Any]] = self._json("modules.json", [])
        return found

    @property
    def architectures(self) -> tuple[str, ...]:
        """The names of classes that `config.json` says the weights are for."""
        return tuple(str(name) for name in self.config.get("architectures") or ())

    @property
    def has_tokenizer(self) -> bool:
        """Whether the folder holds a tokenizer's files."""
        return any((self.folder / name).is_file() for name in _TOKENIZERS)

    def require_files(self) -> Path:
        """Return the weights file.

        Raises:
            UnusableModel: there are no weights to trust, or no tokenizer, in whose place the
                libraries would make one up that knows no word.
        """
        if self.weights is None:
            raise UnusableModel(
                f"model {self.card.id!r} has no model.safetensors, and pickled weights are not "
                "read: convert them first",
                detail=str(self.folder),
            )
        if not self.has_tokenizer:
            raise UnusableModel(f"model {self.card.id!r} has no tokenizer", detail=str(self.folder))
        return self.weights

    def _json(self, name: str, empty: Any) -> Any:
        path = self.folder / name
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return empty
        except (OSError, ValueError) as error:
            raise UnusableModel(
                f"{name} of model {self.card.id!r} is broken", detail=str(path)
            ) from error
        return found if isinstance(found, type(empty)) else empty
