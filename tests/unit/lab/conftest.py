"""A peer without a model; see `support.peers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.peers import InProcess


@pytest.fixture
def new_session() -> Callable[..., InProcess]:
    return InProcess


@pytest.fixture
def loaded() -> dict[str, Any]:
    """The parts of a request that loads the fake."""
    return {"role": "cross-encoder", "folder": "", "threads": 1, "max_tokens": 8, "device": "cpu"}
