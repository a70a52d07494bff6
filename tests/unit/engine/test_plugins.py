"""Plug-ins: found by name, imported when asked for, and one that is broken hurts no other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.plugins import install

from reranker.errors import PluginError
from reranker.plugins import Plugins

GROUP = "reranker.animals"
Install = Callable[..., None]


def check(name: str, found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError(f"{name} is no text")
    return found


@pytest.fixture
def animals() -> Plugins[str]:
    return Plugins(GROUP, "animal", check)


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package; its modules are forgotten after the test."""

    def installed(package: str, entries: dict[str, str], **modules: str) -> None:
        install(tmp_path / package, monkeypatch, entries, group=GROUP, **modules)
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)

    return installed


def test_nothing_is_installed_in_a_group_that_nobody_uses(animals: Plugins[str]) -> None:
    assert animals.names() == ()
    assert animals.load("cat") is None
    assert animals.available() == ({}, ())


def test_names_are_sorted_and_import_nothing(animals: Plugins[str], add: Install) -> None:
    add("zoo", {"dog": "zoo_dogs:DOG", "cat": "zoo_cats:CAT"}, zoo_cats="CAT = 'miaow'")
    assert animals.names() == ("cat", "dog")
    assert "zoo_cats" not in sys.modules
    assert animals.load("cat") == "miaow"
    assert "zoo_cats" in sys.modules


@pytest.mark.parametrize(
    ("source", "reason", "detail"),
    [
        ("import a_package_nobody_has", "ModuleNotFoundError", "a_package_nobody_has"),
        ("OTHER = 1", "AttributeError", "CAT"),
        ("CAT = ", "SyntaxError", "zoo_cats:CAT"),
        ("raise OSError('no /etc/secret')", "OSError", "/etc/secret"),
        (
            "from reranker import MissingExtra\nraise MissingExtra('pip install zoo')",
            "pip install zoo",
            "zoo_cats:CAT",
        ),
    ],
)
def test_one_that_cannot_be_imported_is_named_with_the_reason(
    animals: Plugins[str], add: Install, source: str, reason: str, detail: str
) -> None:
    add("zoo", {"cat": "zoo_cats:CAT"}, zoo_cats=source)
    with pytest.raises(PluginError) as caught:
        animals.load("cat")
    message = caught.value.message
    assert message == f"animal 'cat' of package 'zoo' cannot be imported: {reason}"
    assert detail in (caught.value.detail or "")
    assert "\n" not in caught.value.for_operator()


def test_one_that_is_not_what_it_should_be_is_named_with_the_reason(
    animals: Plugins[str], add: Install
) -> None:
    add("zoo", {"cat": "zoo_cats:CAT"}, zoo_cats="CAT = 7")
    with pytest.raises(PluginError, match="animal 'cat' of package 'zoo' cannot be used") as caught:
        animals.load("cat")
    assert caught.value.message.endswith("cat is no text")


def test_two_packages_with_one_name_are_both_named(animals: Plugins[str], add: Install) -> None:
    add("farm", {"cat": "farm_cats:CAT"}, farm_cats="CAT = 'purr'")
    add("zoo", {"cat": "zoo_cats:CAT"}, zoo_cats="CAT = 'miaow'")
    with pytest.raises(PluginError, match="'cat' is claimed by several packages: farm, zoo"):
        animals.load("cat")


def test_a_name_of_our_own_stays_ours_and_who_else_claims_it_is_named(
    animals: Plugins[str], add: Install
) -> None:
    add("zoo", {"cat": "zoo_cats:CAT"}, zoo_cats="CAT = 'miaow'")
    add("reranker", {"cat": "own_cats:CAT"}, own_cats="CAT = 'purr'")
    assert animals.load("cat") == "purr"
    works, (problem,) = animals.available()
    assert works == {"cat": "purr"}
    assert problem.message == (
        "animal 'cat' of package 'zoo' is not used: the name belongs to 'reranker'"
    )


def test_a_package_that_lies_on_the_path_twice_claims_its_names_once(
    animals: Plugins[str], add: Install
) -> None:
    add("zoo", {"cat": "zoo_cats:CAT"}, zoo_cats="CAT = 'miaow'")
    add("again/zoo", {"cat": "zoo_cats:CAT"})
    assert animals.load("cat") == "miaow"


def test_a_broken_one_leaves_the_others_available(animals: Plugins[str], add: Install) -> None:
    add("farm", {"dog": "farm_dogs:DOG"}, farm_dogs="DOG = 1 / 0")
    add("zoo", {"ape": "zoo_all:APE", "cat": "zoo_all:CAT"}, zoo_all="APE = 3\nCAT = 'miaow'")
    works, problems = animals.available()
    assert works == {"cat": "miaow"}
    assert [problem.message for problem in problems] == [
        "animal 'ape' of package 'zoo' cannot be used: ape is no text",
        "animal 'dog' of package 'farm' cannot be imported: ZeroDivisionError",
    ]
