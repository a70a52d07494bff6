"""Methods by name: one name, one method, and a helpful answer for the rest."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reranker.errors import InvalidRequest, UnknownMethod
from reranker.hub.base import ModelPool
from reranker.pipeline import registry
from reranker.pipeline.pipeline import Pipeline
from reranker.types import Document, RerankRequest


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def build(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Do nothing.

    Really nothing.
    """
    raise NotImplementedError


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **methods: str) -> None:
    """Put a distribution on the path that names its methods as entry points."""
    info = folder / f"{folder.name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder.name}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in methods.items())
    (info / "entry_points.txt").write_text(f"[reranker.methods]\n{lines}")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


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

    with pytest.raises(ValueError, match=r"'mine' is registered twice.*build.*other"):
        registry.register("mine", roles=())(other)
    assert registry.get("mine").build is build


def test_a_reloaded_module_may_register_its_builder_again() -> None:
    registry.register("mine", roles=())(build)
    registry.register("mine", roles=("cross-encoder",))(build)
    assert registry.get("mine").roles == ("cross-encoder",)


def test_the_name_of_an_installed_method_cannot_be_taken_by_another_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(ValueError, match=r"'fast' is registered twice.*reranker_methods"):
        registry.register("fast", roles=())(build)


def test_two_packages_that_claim_one_name_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "one", monkeypatch, twice="one_package.mine")
    install(tmp_path / "two", monkeypatch, twice="two_package.mine")
    assert "twice" in registry.names()
    with pytest.raises(ValueError, match=r"one_package\.mine, two_package\.mine"):
        registry.get("twice")


def test_an_unknown_method_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownMethod) as caught:
        registry.get("optimall")
    message = str(caught.value)
    assert all(name in message for name in ("best", "fast", "optimal", "standard"))
    assert "did you mean 'optimal'" in message
    assert caught.value.param == "method"
    assert isinstance(caught.value, InvalidRequest)


def test_a_module_that_does_not_register_its_name_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "empty", monkeypatch, silent="silent_module")
    (tmp_path / "empty" / "silent_module.py").write_text("")
    with pytest.raises(ValueError, match=r"silent_module.*does not register"):
        registry.get("silent")


def test_a_missing_dependency_of_a_method_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "needy", monkeypatch, needy="needy_module")
    (tmp_path / "needy" / "needy_module.py").write_text("import a_package_nobody_has\n")
    with pytest.raises(ImportError, match="a_package_nobody_has"):
        registry.get("needy")


@pytest.fixture
def slow_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    install(tmp_path / "slow", monkeypatch, slow="slow_module")
    (tmp_path / "slow" / "slow_module.py").write_text(
        "import time\n"
        "from reranker.pipeline.registry import register\n"
        "time.sleep(0.3)\n"
        "@register('slow', roles=())\n"
        "def slow(request, models):\n"
        "    'Be slow.'\n"
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
    asked = RerankRequest(query="q", documents=(Document.of("d"),), model="m", method="crossing")
    with pytest.raises(InvalidRequest, match="model_cross") as caught:
        registry.get("crossing").check(asked)
    assert caught.value.param == "model_cross"
