"""Importing the engine is cheap and has no side effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys

HEAVY = ["torch", "transformers", "sentence_transformers", "faiss", "scipy", "huggingface_hub"]


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_constructing_loads_no_heavy_library_and_no_method() -> None:
    code = f"""
import json, sys
import reranker
from reranker import settings
from reranker.pipeline import registry
registry.names()
engine = reranker.Reranker()
heavy = [name for name in {HEAVY} + ["reranker_methods", "reranker_server"] if name in sys.modules]
print(json.dumps(heavy))
"""
    assert json.loads(run(code)) == []


def test_listing_methods_imports_none_and_asking_for_one_imports_that_one() -> None:
    code = """
import json, sys
from reranker.pipeline import registry
names = registry.names()
before = [name for name in sys.modules if name.startswith("reranker_methods")]
method = registry.get("standard")
after = [name for name in sys.modules if name.startswith("reranker_methods.")]
print(json.dumps([names, before, after, method.summary]))
"""
    names, before, after, summary = json.loads(run(code))
    assert {"best", "fast", "optimal", "standard"} <= set(names)
    assert before == []
    assert "reranker_methods.standard" in after
    assert "reranker_methods.best" not in after
    assert summary


def test_nothing_is_read_from_the_environment_at_import() -> None:
    run("import reranker", RERANKER_CONFIG="/nowhere/at-all.toml", RERANKER_NONSENSE="1")
