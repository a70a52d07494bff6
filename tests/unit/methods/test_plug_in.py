"""What a plug-in's author sees: the public names suffice, and the example stays short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import reranker
from reranker_methods import fast, optimal, standard

EXAMPLE = Path(__file__).parents[2] / "packaging/example_method/reranker_keywords.py"
FILES = [EXAMPLE, *(Path(str(module.__file__)) for module in (fast, optimal, standard))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_method_needs_nothing_but_the_public_names(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    sources = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names = {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sources == {"reranker"}
    assert names <= set(reranker.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_method_is_about_twenty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 30
