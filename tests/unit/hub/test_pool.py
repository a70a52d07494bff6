"""The pool: one load a model, whoever asks, and a failed one can be tried again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from support.checkpoints import HIDDEN, WINDOW
from support.live import wait_until
from support.models import FLOAT32

from reranker.backends.device import DeviceConfig
from reranker.errors import ModelUnavailable, UnknownModel
from reranker.families import registry
from reranker.families.cross_encoder import CrossEncoderFamily
from reranker.hub import pool as pool_module
from reranker.hub.catalog import Catalog
from reranker.hub.pool import LocalModelPool
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]


class Slow:
    """Stands where hardware is chosen, a step of every load, and can hold it up or fail it."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fault: BaseException | None = None

    def __call__(self) -> DeviceConfig:
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(30)
        if self.fault is not None:
            raise self.fault
        return FLOAT32


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def pool(checkpoint: Checkpoint, slow: Slow) -> Iterator[LocalModelPool]:
    new = LocalModelPool(catalog(checkpoint), slow, offline=True)
    yield new
    slow.gate.set()
    new.close()


def catalog(checkpoint: Checkpoint) -> Catalog:
    return Catalog(
        {
            "bi-encoder": {
                "tiny": str(checkpoint("bert-mean")),
                "wrong": str(checkpoint("bert-cross")),
            },
            "cross-encoder": {"tiny-cross": str(checkpoint("bert-cross"))},
        }
    )


def test_nothing_is_loaded_before_it_is_asked_for(pool: LocalModelPool, slow: Slow) -> None:
    assert pool.loaded() == ()
    assert pool.states() == {}
    assert slow.calls == 0


def test_sixteen_threads_share_one_load(pool: LocalModelPool, slow: Slow) -> None:
    slow.gate.clear()
    with ThreadPoolExecutor(16) as executor:
        asked = [executor.submit(pool.bi_encoder, name) for name in ["tiny", "TINY"] * 8]
        assert slow.entered.wait(30)
        assert pool.states()["tiny"] == "loading"
        slow.gate.set()
        models = {id(each.result(60)) for each in asked}
    assert len(models) == 1
    assert len(pool.loaded()) == 1
    assert slow.calls == 1


def test_roles_are_loaded_apart(pool: LocalModelPool) -> None:
    assert pool.bi_encoder("tiny") is not pool.cross_encoder("tiny-cross")
    assert len(pool.loaded()) == 2


def test_states_can_be_read_while_a_model_is_loading(pool: LocalModelPool, slow: Slow) -> None:
    slow.gate.clear()
    with ThreadPoolExecutor(2) as executor:
        load = executor.submit(pool.bi_encoder, "tiny")
        assert slow.entered.wait(30)
        assert executor.submit(pool.states).result(5) == {"tiny": "loading"}
        slow.gate.set()
        load.result(60)
    assert pool.states() == {"tiny": "ready"}


@pytest.mark.parametrize("fault", [RuntimeError("no such device"), SystemExit(1), MemoryError()])
def test_a_failed_load_is_reported_and_can_be_tried_again(
    pool: LocalModelPool, slow: Slow, fault: BaseException
) -> None:
    slow.fault = fault
    with pytest.raises(type(fault)):
        pool.bi_encoder("tiny")
    assert pool.states() == {"tiny": "failed"}
    slow.fault = None
    pool.bi_encoder("tiny")
    assert pool.states() == {"tiny": "ready"}


class Careless(CrossEncoderFamily):
    """A family whose load raises, or forgets to return."""

    def __init__(self, fault: Exception | None) -> None:
        self.fault = fault

    def load(self, checkpoint: object, config: object) -> Any:
        if self.fault is not None:
            raise self.fault


@pytest.mark.parametrize(
    ("fault", "says"), [(KeyError("weight"), "KeyError: 'weight'"), (None, "'NoneType'")]
)
def test_a_family_that_fails_to_load_is_named_with_the_model(
    pool: LocalModelPool, monkeypatch: pytest.MonkeyPatch, fault: Exception | None, says: str
) -> None:
    monkeypatch.setattr(registry, "family_of", lambda _: Careless(fault))
    with pytest.raises(ModelUnavailable) as caught:
        pool.cross_encoder("tiny-cross")
    assert "'tiny-cross' cannot be loaded: its model family 'cross-encoder'" in str(caught.value)
    assert says in (caught.value.detail or "")


def test_a_folder_that_appears_later_is_loaded_then(checkpoint: Checkpoint, tmp_path: Path) -> None:
    later = tmp_path / "later"
    pool = LocalModelPool(
        Catalog({"bi-encoder": {"later": str(later)}}), lambda: FLOAT32, offline=True
    )
    with pytest.raises(ModelUnavailable):
        pool.bi_encoder("later")
    shutil.copytree(checkpoint("bert-mean"), later)
    assert pool.bi_encoder("later").name == "later"
    pool.close()


def test_a_caller_waits_no_longer_than_the_load_timeout_and_the_load_goes_on(
    checkpoint: Checkpoint, slow: Slow
) -> None:
    pool = LocalModelPool(catalog(checkpoint), slow, offline=True, load_timeout=0.05)
    slow.gate.clear()
    with pytest.raises(ModelUnavailable, match="is being loaded"):
        pool.bi_encoder("tiny")
    slow.gate.set()
    pool.warm([("bi-encoder", "tiny")])  # waits however long it takes
    assert pool.bi_encoder("tiny").name == "tiny"
    assert slow.calls == 1
    pool.close()


def test_the_reason_of_a_failed_load_is_reported_for_a_while_to_callers_that_did_not_wait(
    checkpoint: Checkpoint,
    slow: Slow,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = LocalModelPool(catalog(checkpoint), slow, offline=True, load_timeout=0.05)
    slow.gate.clear()
    slow.fault = ModelUnavailable("no route to the hub")
    with pytest.raises(ModelUnavailable, match="is being loaded"):
        pool.bi_encoder("tiny")
    slow.gate.set()
    wait_until(lambda: pool.states() == {"tiny": "failed"})
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="no route to the hub"):
            pool.bi_encoder("tiny")
    assert slow.calls == 1
    assert "model tiny cannot be loaded: no route to the hub" in caplog.text
    slow.fault = None
    later = time.monotonic() + 60
    monkeypatch.setattr(pool_module.time, "monotonic", lambda: later)
    pool.warm([("bi-encoder", "tiny")])
    assert pool.states() == {"tiny": "ready"}
    pool.close()


def test_a_model_of_the_other_role_is_refused_with_the_reason(pool: LocalModelPool) -> None:
    with pytest.raises(ModelUnavailable, match="cannot serve as a bi-encoder"):
        pool.bi_encoder("wrong")
    with pytest.raises(UnknownModel):
        pool.cross_encoder("tiny")


def test_the_embedded_pair_needs_no_network_and_no_other_configured_base(
    checkpoint: Checkpoint,
) -> None:
    mapped = {"bi-encoder": {"all-MiniLM-L6-v2": str(checkpoint("bert-mean"))}}
    pool = LocalModelPool(Catalog(mapped), lambda: FLOAT32, offline=True)  # type: ignore[arg-type]
    scored = pool.cross_encoder("minilm-l6-cross-encoder").score(
        "q", ["d"], max_tokens=9, context=RequestContext()
    )
    assert len(scored.logits) == 1
    pool.close()


def test_close_stops_the_models(pool: LocalModelPool) -> None:
    model = pool.bi_encoder("tiny")
    pool.close()
    with pytest.raises(ModelUnavailable):
        model.encode(
            ["text"], kind="query", max_tokens=None, tokens=False, context=RequestContext()
        )


def test_what_is_loaded_is_shown_as_it_is(pool: LocalModelPool) -> None:
    bi, cross = pool.bi_encoder("tiny"), pool.cross_encoder("tiny-cross")
    statuses = {status.id: status for status in pool.loaded()}
    assert statuses.keys() == {"tiny", "tiny-cross"}
    assert [statuses[name].role for name in statuses] == ["bi-encoder", "cross-encoder"]
    assert [statuses[name].family for name in statuses] == ["bi-encoder", "cross-encoder"]
    for status in statuses.values():
        assert (status.device, status.dtype, status.backend) == ("cpu", "float32", "torch")
        assert status.attn_implementation == "sdpa"
        assert status.packed_weights is torch.backends.mkldnn.is_available()
        assert status.window == WINDOW
        assert status.max_batch_tokens == FLOAT32.max_batch_tokens
        assert status.concurrent_batches == 2
        assert status.weight_bytes > 10_000
        assert (status.scheduler.items, status.cache.entries) == (0, 0)
    assert statuses["tiny"].dimensions == HIDDEN
    assert statuses["tiny-cross"].dimensions is None
    bi.encode(["a", "b"], kind="query", max_tokens=None, tokens=False, context=RequestContext())
    cross.score("a", ["b"], max_tokens=9, context=RequestContext())
    items = {status.id: status.scheduler.items for status in pool.loaded()}
    assert items == {"tiny": 2, "tiny-cross": 1}
    assert statuses["tiny"].scheduler.items == 0, "a status is of its moment"


def test_the_cache_of_a_loaded_model_is_shown(checkpoint: Checkpoint) -> None:
    pool = LocalModelPool(catalog(checkpoint), lambda: FLOAT32, offline=True, cache_bytes=1 << 20)
    model = pool.cross_encoder("tiny-cross")
    for _ in range(2):
        model.score("a", ["b", "c"], max_tokens=9, context=RequestContext())
    (status,) = pool.loaded()
    assert (status.cache.hits, status.cache.misses, status.cache.entries) == (2, 2, 2)
    assert status.cache.bytes > 0
    pool.close()


def test_a_model_that_is_loading_or_failed_is_not_shown_as_loaded(
    pool: LocalModelPool, slow: Slow
) -> None:
    slow.fault = RuntimeError("no such device")
    with pytest.raises(RuntimeError):
        pool.bi_encoder("tiny")
    assert pool.loaded() == ()
    slow.fault = None
    slow.gate.clear()
    slow.entered.clear()
    with ThreadPoolExecutor(1) as executor:
        load = executor.submit(pool.bi_encoder, "tiny")
        assert slow.entered.wait(30)
        assert pool.loaded() == ()
        slow.gate.set()
        load.result(60)
    assert [status.id for status in pool.loaded()] == ["tiny"]
