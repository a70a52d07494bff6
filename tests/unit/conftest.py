"""Tokenizers and loaded models for the unit tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reranker.tokenization.tokenizer import TextTokenizer


@pytest.fixture(scope="session")
def tokenizer(checkpoint: Callable[[str], Path]) -> Callable[[str], TextTokenizer]:
    """Return the tokenizer of a tiny checkpoint as the engine wraps it."""
    from transformers import AutoTokenizer

    made: dict[str, TextTokenizer] = {}

    def get(name: str) -> TextTokenizer:
        if name not in made:
            whole = AutoTokenizer.from_pretrained(checkpoint(name))
            made[name] = TextTokenizer(whole.backend_tokenizer)
        return made[name]

    return get
