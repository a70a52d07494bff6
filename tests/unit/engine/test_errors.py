"""The error tree is complete, drawn as it is, and exported."""

from __future__ import annotations

import inspect
import re

import pytest

import reranker
from reranker import errors

CLASSES = {
    name: item
    for name, item in vars(errors).items()
    if inspect.isclass(item) and issubclass(item, Exception)
}


def drawn() -> dict[str, str]:
    """Return name -> parent as the docstring's tree draws them."""
    found: dict[str, str] = {}
    depths: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^( {4}[\u2502\u251c\u2514\u2500 ]*)([A-Z]\w+)", line)
        if not match:
            continue
        depth = len(match[1])
        while depths and depths[-1][0] >= depth:
            depths.pop()
        if depths:
            found[match[2]] = depths[-1][1]
        depths.append((depth, match[2]))
    return found


def test_the_docstring_draws_every_error_under_its_parent() -> None:
    assert drawn() == {
        name: item.__mro__[1].__name__ for name, item in CLASSES.items() if name != "RerankerError"
    }


def test_every_error_is_a_reranker_error_with_a_docstring() -> None:
    for name, item in CLASSES.items():
        assert issubclass(item, errors.RerankerError), name
        assert item.__doc__, name


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_carries_message_and_says_all_to_the_operator(name: str) -> None:
    error = CLASSES[name]("it broke")
    assert str(error) == error.message == "it broke"  # type: ignore[attr-defined]
    assert error.for_operator() == "it broke"  # type: ignore[attr-defined]


def test_the_operator_also_reads_the_detail() -> None:
    error = errors.ModelUnavailable("no weights", param="model", detail="/models/x")
    assert error.for_operator() == "no weights (/models/x)"
    assert str(error) == "no weights"


def test_the_public_names_are_sorted_and_are_what_imports() -> None:
    assert sorted(reranker.__all__) == reranker.__all__
    assert len(set(reranker.__all__)) == len(reranker.__all__)
    for name in reranker.__all__:
        assert getattr(reranker, name) is not None
    public = {
        name
        for name, item in vars(reranker).items()
        if not name.startswith("_") and not inspect.ismodule(item)
    }
    assert public == {name for name in reranker.__all__ if not name.startswith("_")}


def test_every_error_a_caller_can_meet_is_exported() -> None:
    met = set(CLASSES) - {"SettingsError", "Cancelled"}  # the operator's, and nobody waits for it
    assert met <= set(reranker.__all__)
