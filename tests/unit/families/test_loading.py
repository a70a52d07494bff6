"""Files become models, or one clear error: nothing half-read, nothing unpickled."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import llama_cross_encoder
from support.models import bi_encoder, cross_encoder, embedded_cross_encoder
from support.texts import PLAIN
from transformers.utils import logging

from reranker.errors import ModelUnavailable, UnusableModel
from reranker.families.checkpoint_files import reading_files
from reranker.model_card import ModelCard
from reranker.tokenization.collate import window_of
from reranker.types import RequestContext

Copy = Callable[[str], Path]


@pytest.fixture
def copy(checkpoint: Callable[[str], Path], tmp_path: Path) -> Copy:
    def build(name: str) -> Path:
        return Path(shutil.copytree(checkpoint(name), tmp_path / name))

    return build


def cut_short(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def vectors(folder: Path, **card: Any) -> np.ndarray:
    model = bi_encoder(folder, **card)
    encoded = model.encode(
        PLAIN, kind="document", max_tokens=None, tokens=False, context=RequestContext()
    )
    model.close()
    return encoded.vectors


class Bomb:
    """Leaves a mark on the disk when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"]
)
def test_a_file_cut_short_is_one_clear_error(copy: Copy, name: str) -> None:
    folder = copy("bert-mean")
    cut_short(folder, name)
    with pytest.raises(ModelUnavailable, match="broken or incomplete") as caught:
        bi_encoder(folder)
    assert str(folder) not in str(caught.value)
    assert str(folder) in caught.value.for_operator()
    assert "\n" not in caught.value.for_operator()


@pytest.mark.parametrize("name", ["tokenizer.json", "1_Pooling/config.json"])
def test_a_missing_file_is_one_clear_error(copy: Copy, name: str) -> None:
    folder = copy("xlmr-cls")
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable):
        bi_encoder(folder)


def test_a_corrupt_cross_encoder_is_one_clear_error(copy: Copy) -> None:
    folder = copy("bert-cross")
    (folder / "model.safetensors").write_bytes(b"\xff" * 4096)
    with pytest.raises(ModelUnavailable, match="broken or incomplete"):
        cross_encoder(folder)


def test_weights_of_other_shapes_are_refused(copy: Copy) -> None:
    folder = copy("bert-cross")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(ModelUnavailable, match="broken or incomplete"):
        cross_encoder(folder)


def without(folder: Path, *prefixes: str, shards: int = 1) -> Path:
    """Take weights out of a checkpoint, and deal what is left into shards."""
    weights = load_file(folder / "model.safetensors")
    kept = {name: part for name, part in weights.items() if not name.startswith(prefixes)}
    assert len(kept) < len(weights)
    if shards == 1:
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    (folder / "model.safetensors").unlink()
    where = {name: f"model-{n % shards}.safetensors" for n, name in enumerate(kept)}
    for shard in set(where.values()):
        part = {name: kept[name] for name in kept if where[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("bert-cross", "classifier.bias"),
        ("bert-cross", "bert.pooler.dense.weight"),
        ("bert-cross", "bert.encoder.layer.1.output.dense.weight"),
        ("bert-cross", "bert.embeddings.word_embeddings"),
        ("xlmr-cross", "classifier.out_proj"),
        ("xlmr-cross", "roberta.encoder.layer.0."),
        ("bert-mean", "encoder.layer.1.attention.self.query.bias"),
        ("bert-mean", "embeddings.position_embeddings"),
        ("xlmr-cls", "encoder.layer.0.output"),
        ("m3", "embeddings.LayerNorm.weight"),
    ],
)
def test_weights_that_are_missing_are_named_rather_than_made_up(
    copy: Copy, name: str, prefix: str, shards: int
) -> None:
    folder = without(copy(name), prefix, shards=shards)
    load = cross_encoder if "cross" in name else bi_encoder
    with pytest.raises(UnusableModel, match="lack '") as caught:
        load(folder)
    assert prefix in str(caught.value)


def test_weights_of_a_foreign_prefix_are_refused(copy: Copy) -> None:
    folder = copy("bert-mean")
    weights = load_file(folder / "model.safetensors")
    foreign = {f"encoder_q.{name}": part for name, part in weights.items()}
    save_file(foreign, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnusableModel, match=r"lack '.*' and [0-9]+ more"):
        bi_encoder(folder)


def test_a_pooler_that_no_pooling_reads_may_be_missing(copy: Copy) -> None:
    folder = copy("bert-mean")
    expected = vectors(folder)
    np.testing.assert_array_equal(vectors(without(folder, "pooler.")), expected)


def test_a_score_is_the_same_in_company_where_tokenizer_and_network_pad_differently(
    tmp_path: Path,
) -> None:
    """A decoder's head reads the last token that is not the network's own padding id."""
    folder = llama_cross_encoder(tmp_path / "llama")
    model = cross_encoder(folder)
    texts = [*PLAIN, "a"]
    together = model.score("paris", texts, max_tokens=40, context=RequestContext()).logits
    alone = [
        model.score("paris", [text], max_tokens=40, context=RequestContext()).logits[0]
        for text in texts
    ]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    model.close()


@pytest.mark.parametrize("name", ["colbert_linear.pt", "sparse_linear.pt", "pytorch_model.bin"])
def test_a_pickle_that_holds_more_than_tensors_is_refused_and_does_nothing(
    copy: Copy, tmp_path: Path, name: str
) -> None:
    folder = copy("m3-bin")
    mark = tmp_path / "exploded"
    for payload in (
        {"weight": torch.ones(1, 32), "bias": torch.ones(1), "bomb": Bomb(mark)},
        Bomb(mark),
    ):
        torch.save(payload, folder / name)
        with pytest.raises(ModelUnavailable, match="broken or incomplete"):
            bi_encoder(folder, heads=True, weights="pytorch_model.bin")
        (folder / name).write_bytes(pickle.dumps(payload))
        with pytest.raises(ModelUnavailable, match="broken or incomplete"):
            bi_encoder(folder, heads=True, weights="pytorch_model.bin")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["colbert_linear.pt", "sparse_linear.pt"])
def test_heads_that_are_missing_or_do_not_fit_are_refused_at_once(copy: Copy, name: str) -> None:
    folder = copy("m3")
    torch.save(torch.nn.Linear(8, 8).state_dict(), folder / name)
    with pytest.raises(ModelUnavailable, match="broken or incomplete"):
        bi_encoder(folder, heads=True)
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match="broken or incomplete"):
        bi_encoder(folder, heads=True)
    bi_encoder(folder, heads=False).close()


def test_code_named_by_a_models_own_files_is_never_run(copy: Copy, tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    code = f"import os\nos.mkdir({str(mark)!r})\nclass Evil: pass\n"
    folder = copy("bert-mean")
    (folder / "evil.py").write_text(code)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.Evil"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelUnavailable):
        bi_encoder(folder)
    crossing = copy("bert-cross")
    (crossing / "evil.py").write_text(code)
    config = json.loads((crossing / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "evil.Evil"}
    config["model_type"] = "evil"
    (crossing / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnavailable):
        cross_encoder(crossing)
    assert not mark.exists()


def test_a_folder_without_modules_must_be_told_how_it_pools(
    checkpoint: Callable[[str], Path],
) -> None:
    with pytest.raises(ModelUnavailable, match=r'set pooling = "cls" or "mean"'):
        bi_encoder(checkpoint("xlmr"))


def test_pickled_and_safe_weights_give_the_same_vectors(
    checkpoint: Callable[[str], Path],
) -> None:
    safe = vectors(checkpoint("m3"), heads=True)
    pickled = vectors(checkpoint("m3-bin"), heads=True, weights="pytorch_model.bin")
    np.testing.assert_allclose(pickled, safe, atol=1e-6)


def test_safe_weights_are_read_where_both_lie(copy: Copy) -> None:
    folder = copy("m3")
    expected = vectors(folder)
    (folder / "pytorch_model.bin").write_bytes(b"garbage")
    np.testing.assert_array_equal(vectors(folder, weights="pytorch_model.bin"), expected)


def test_safe_weights_alone_do_for_a_card_that_expects_pickled_ones(
    checkpoint: Callable[[str], Path],
) -> None:
    expected = vectors(checkpoint("m3"))
    np.testing.assert_array_equal(vectors(checkpoint("m3"), weights="pytorch_model.bin"), expected)


@pytest.mark.parametrize(
    ("kind", "positions", "declared", "window"),
    [
        ("bert", 512, None, 512),
        ("bert", 512, 256, 256),
        ("bert", 512, 100_000, 512),
        ("xlm-roberta", 514, None, 512),
        ("xlm-roberta", 8194, 8192, 8192),
        ("roberta", 514, 10**30, 512),
        ("mpnet", 514, None, 512),
        ("camembert", 514, None, 512),
        ("bert", -1, 100, 100),
        ("bert", None, 100, 100),
        ("bert", -1, None, 512),
        ("bert", None, 10**30, 32_768),
    ],
)
def test_the_window_is_what_the_network_can_read(
    kind: str, positions: int | None, declared: int | None, window: int
) -> None:
    class Config:
        max_position_embeddings = positions
        model_type = kind
        pad_token_id = 0 if kind == "bert" else 1

    assert window_of(Config(), declared) == window


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_a_pair_that_fills_the_window_to_the_last_token_runs(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    model = cross_encoder(checkpoint(name))
    assert model.window == 64
    scored = model.score(
        "paris " * 500, ["learning " * 500], max_tokens=10_000, context=RequestContext()
    )
    assert np.isfinite(scored.logits).all()
    assert scored.usage.total_tokens + model.tokenizer.pair.size == 64
    model.close()


def test_a_card_can_narrow_the_window(checkpoint: Callable[[str], Path]) -> None:
    for model in (
        bi_encoder(checkpoint("bert-mean"), max_tokens=16),
        cross_encoder(checkpoint("bert-cross"), max_tokens=16),
    ):
        assert model.window == 16
        model.close()


def test_the_embedded_cross_encoder_loads_over_its_base() -> None:
    model = embedded_cross_encoder()
    scored = model.score("a query", ["a document", ""], max_tokens=100, context=RequestContext())
    assert np.isfinite(scored.logits).all()
    assert model.family == "split-cross-encoder"
    model.close()


def test_loads_that_overlap_leave_the_librarys_own_messages_as_they_were(tmp_path: Path) -> None:
    card = ModelCard("tiny", "bi-encoder")
    before = (logging.is_progress_bar_enabled(), logging.get_verbosity())
    first, second = reading_files(card, tmp_path), reading_files(card, tmp_path)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # the other still loads
    assert logging.get_verbosity() == logging.ERROR
    second.__exit__(None, None, None)
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
