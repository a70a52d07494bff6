"""Servers of their own process, shared by the tests that leave them as they were."""

from __future__ import annotations

import pytest
from support.live import key_file, live


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Run one server for a module; its key "k" has a budget that nothing here uses up."""
    folder = tmp_path_factory.mktemp("live")
    settings = {
        "keys_file": key_file(folder, "budget = 100000000"),
        "header_timeout_ms": 1500,
        "body_timeout_ms": 700,
        "max_concurrent": 4,
    }
    with live(folder, **settings) as server:
        yield server
