"""Methods by name: one name, one method, and a helpful answer for the rest."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.plugins import install

from reranker.errors import InvalidRequest, PluginError, UnknownMethod
from reranker.hub.base import ModelPool
from reranker.pipeline import registry
from reranker.pipeline.pipeline import Pipeline
from reranker.types import Document, RerankRequest


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    before = registry.names()
    yield
    for name in set(registry.names()) - set(before):
        registry.unregister(name)


def build(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Do nothing.

    Really nothing.
    """
    raise NotImplementedError


def test_a_registered_method_is_found_with_what_it_needs() -> None:
    registry.register("mine", roles=("bi-encoder",), two_stage=True)(build)
    method = registry.get("mine")
    assert (method.build, method.roles, method.two_stage) == (build, ("bi-encoder",), True)
    assert method.summary == "Do nothing."
    assert "mine" in registry.names()


def test_a_name_registered_by_another_builder_is_refused() -> None:
    registry.register("mine", roles=())(build)

    def other(request: RerankRequest, models: ModelPool) -> Pipeline:
        raise NotImplementedError

    with pytest.raises(PluginError, match=r"'mine' is registered twice.*build.*other"):
        registry.register("mine", roles=())(other)
    assert registry.get("mine").build is build


def test_a_role_that_is_none_is_refused_and_named() -> None:
    with pytest.raises(PluginError, match="'mine': its role 'bi_encoder' is none of bi-encoder"):
        registry.register("mine", roles=("bi_encoder",))(build)  # type: ignore[arg-type]
    assert "mine" not in registry.names()


def test_a_reloaded_module_may_register_its_builder_again() -> None:
    registry.register("mine", roles=())(build)
    registry.register("mine", roles=("cross-encoder",))(build)
    assert registry.get("mine").roles == ("cross-encoder",)


def test_a_method_that_was_unregistered_is_unknown() -> None:
    registry.register("mine", roles=())(build)
    registry.unregister("mine")
    registry.unregister("mine")
    with pytest.raises(UnknownMethod):
        registry.get("mine")


def test_the_name_of_an_installed_method_cannot_be_taken_by_another_package() -> None:
    with pytest.raises(PluginError, match=r"'fast' is registered twice.*reranker_methods"):
        registry.register("fast", roles=())(build)


def test_two_packages_that_claim_one_name_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "one", monkeypatch, {"twice": "one_package.mine"})
    install(tmp_path / "two", monkeypatch, {"twice": "two_package.mine"})
    assert "twice" in registry.names()
    with pytest.raises(PluginError, match="'twice' is claimed by several packages: one, two"):
        registry.get("twice")


def test_an_unknown_method_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownMethod) as caught:
        registry.get("optimall")
    message = str(caught.value)
    assert all(name in message for name in ("best", "fast", "optimal", "standard"))
    assert "did you mean 'optimal'" in message
    assert caught.value.param == "method"
    assert isinstance(caught.value, InvalidRequest)


BROKEN = {
    "needy": ("import a_package_nobody_has", "cannot be imported: ModuleNotFoundError"),
    "silent": ("", "cannot be used: its module does not register that name"),
    "taker": (
        "from reranker import register\n@register('fast', roles=())\ndef fast(*_): ...",
        "cannot be imported: method 'fast' is registered twice: "
        "by reranker_methods.fast.fast and by taker_module.fast",
    ),
    "half": (
        "from reranker import register\n@register('half', roles=())\ndef half(*_): ...\n1 / 0",
        "cannot be imported: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plug_in_that_does_not_work_is_named_with_the_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.get("fast")  # is registered
    source, reason = BROKEN[name]
    module = f"{name}_module"
    monkeypatch.delitem(sys.modules, module, raising=False)
    install(tmp_path / "broken", monkeypatch, {name: module}, **{module: source})
    for _ in range(2):  # the second time its module may have been imported, in part or whole
        with pytest.raises(PluginError) as caught:
            registry.get(name)
        assert caught.value.message == f"method {name!r} of package 'broken' {reason}"


def test_a_plug_in_that_does_not_work_leaves_the_others_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register("mine", roles=())(build)
    monkeypatch.delitem(sys.modules, "needy_module", raising=False)
    install(
        tmp_path / "broken",
        monkeypatch,
        {"needy": "needy_module", "fast": "needy_module"},
        needy_module="import a_package_nobody_has",
    )
    methods, problems = registry.available()
    names = [method.name for method in methods]
    assert names == sorted(names)
    assert {"best", "fast", "mine", "optimal", "standard"} <= set(names)
    assert registry.get("fast").build.__module__ == "reranker_methods.fast"
    assert [problem.message for problem in problems] == [
        "method 'fast' of package 'broken' is not used: the name belongs to 'reranker'",
        "method 'needy' of package 'broken' cannot be imported: ModuleNotFoundError",
    ]
    assert "a_package_nobody_has" in problems[1].for_operator()


@pytest.fixture
def slow_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    install(
        tmp_path / "slow",
        monkeypatch,
        {"slow": "slow_module"},
        slow_module="import time\n"
        "from reranker.pipeline.registry import register\n"
        "time.sleep(0.3)\n"
        "@register('slow', roles=())\n"
        "def slow(request, models):\n"
        "    'Be slow.'\n",
    )
    yield "slow"
    sys.modules.pop("slow_module", None)


def test_a_method_first_asked_for_while_its_module_is_being_imported_does_not_deadlock(
    slow_method: str,
) -> None:
    found: list[object] = []
    importer = threading.Thread(
        target=lambda: found.append(importlib.import_module("slow_module")), daemon=True
    )
    asker = threading.Thread(target=lambda: found.append(registry.get(slow_method)), daemon=True)
    importer.start()
    asker.start()
    importer.join(20)
    asker.join(20)
    assert len(found) == 2


def test_many_threads_get_the_same_method(slow_method: str) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(registry.get(slow_method))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 16
    assert len({id(method) for method in found}) == 1


def test_a_method_that_needs_a_cross_encoder_says_so() -> None:
    registry.register("crossing", roles=("cross-encoder",))(build)
    request = RerankRequest(query="q", documents=(Document.of("d"),), model="m", method="crossing")
    with pytest.raises(InvalidRequest, match="model_cross") as caught:
        registry.get("crossing").check(request)
    assert caught.value.param == "model_cross"
