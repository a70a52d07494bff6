"""Which family takes a checkpoint, and why none does."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.checkpoints import bert_cross_encoder
from support.plugins import install

from reranker.errors import ModelUnavailable
from reranker.families import registry
from reranker.families.registry import family_of
from reranker.hub.files import locate
from reranker.model_card import Checkpoint, ModelCard, Role

Folder = Callable[[str], Path]


def at(folder: Path, role: Role = "bi-encoder") -> Checkpoint:
    return locate(ModelCard("tiny", role, path=folder), offline=True)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Look families up again before and after a test that installs some."""
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


FAMILY = """
class {name}:
    name, role = "{entry}", "cross-encoder"
    def matches(self, checkpoint):
        return checkpoint.config.get("model_type") == "bert"
    def load(self, checkpoint, config):
        raise NotImplementedError
"""


def install_families(folder: Path, patch: pytest.MonkeyPatch, *names: str, **source: str) -> None:
    prefix = f"families_of_{folder.name}".replace("-", "_")  # a module is imported once
    modules = {
        f"{prefix}_{name}": source.get(name) or FAMILY.format(name="F", entry=name)
        for name in names
    }
    entries = {name: f"{prefix}_{name}:F" for name in names}
    install(folder / "others", patch, entries, group=registry.GROUP, **modules)


@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("bert-mean", "bi-encoder", "bi-encoder"),
        ("xlmr", "bi-encoder", "bi-encoder"),
        ("bert-cross", "cross-encoder", "cross-encoder"),
    ],
)
def test_a_checkpoint_is_taken_by_what_its_config_says(
    checkpoint: Folder, name: str, role: Role, expected: str
) -> None:
    assert family_of(at(checkpoint(name), role)).name == expected


def test_a_cross_encoder_is_refused_as_a_bi_encoder_with_the_reason(checkpoint: Folder) -> None:
    with pytest.raises(ModelUnavailable, match=r"BertForSequenceClassification.*bi-encoder"):
        family_of(at(checkpoint("bert-cross")))


def test_a_bi_encoder_is_refused_as_a_cross_encoder_with_the_reason(checkpoint: Folder) -> None:
    with pytest.raises(ModelUnavailable, match="its architecture is XLMRobertaModel"):
        family_of(at(checkpoint("xlmr-cls"), "cross-encoder"))


@pytest.mark.parametrize("labels", [2, 3])
def test_a_classifier_of_several_labels_is_no_reranker(tmp_path: Path, labels: int) -> None:
    folder = bert_cross_encoder(tmp_path / "classifier", labels=labels)
    with pytest.raises(ModelUnavailable, match=f"has {labels} labels; a reranker has one"):
        family_of(at(folder, "cross-encoder"))


@pytest.mark.parametrize(("text", "says"), [(None, "has no config.json"), ("{", "is broken")])
def test_a_missing_or_broken_config_is_one_clear_error(
    checkpoint: Folder, tmp_path: Path, text: str | None, says: str
) -> None:
    folder = Path(shutil.copytree(checkpoint("bert-mean"), tmp_path / "broken"))
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=says):
        family_of(at(folder))


def test_a_family_of_another_package_comes_before_our_own(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_families(tmp_path, monkeypatch, "closer")
    assert family_of(at(checkpoint("bert-cross"), "cross-encoder")).name == "closer"
    assert family_of(at(checkpoint("xlmr-cross"), "cross-encoder")).name == "cross-encoder"


def test_two_families_that_match_one_checkpoint_are_both_named(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_families(tmp_path, monkeypatch, "one_family", "other_family")
    with pytest.raises(ModelUnavailable, match="'one_family' and 'other_family'"):
        family_of(at(checkpoint("bert-cross"), "cross-encoder"))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import nothing_of_that_name", "cannot be imported"),
        ("class F:\n    name, role = 'broken', 'cross-encoder'", "has no 'matches'"),
        (FAMILY.format(name="F", entry="other"), "calls itself 'other'"),
        ("class F:\n    def __init__(self, size): ...", "cannot be used: TypeError"),
        (FAMILY.format(name="F", entry="broken").replace("cross-encoder", "oracle"), "'oracle'"),
    ],
)
def test_a_family_that_does_not_work_is_named_once_and_the_others_work(
    checkpoint: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
    says: str,
) -> None:
    install_families(tmp_path, monkeypatch, "broken", "works", broken=source)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert family_of(at(checkpoint("bert-cross"), "cross-encoder")).name == "works"
    (line,) = caplog.messages
    assert "model family 'broken'" in line
    assert says in line


def test_a_family_that_fails_to_decide_is_named_and_the_others_work(
    checkpoint: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = FAMILY.format(name="F", entry="broken").replace(
        '.get("model_type") == "bert"', '["nothing"]'
    )
    install_families(tmp_path, monkeypatch, "broken", broken=broken)
    with caplog.at_level(logging.ERROR):
        assert family_of(at(checkpoint("bert-cross"), "cross-encoder")).name == "cross-encoder"
    (line,) = caplog.messages
    assert line == "model family 'broken' is left out for 'tiny': KeyError: 'nothing'"
