"""What the machine is taken to offer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from reranker.backends import device as hardware
from reranker.backends.device import choose_device, usable_cpus
from reranker.errors import SettingsError


def cgroup(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("cpu_max", "cpu.max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000\n", None),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("800000 100000", 8.0),
        ("", None),
        ("nonsense\n", None),
    ],
)
def test_quota_of_cgroup_v2(tmp_path: Path, text: str, quota: float | None) -> None:
    assert hardware._cgroup_quota(cgroup(tmp_path, cpu_max=text)) == quota


@pytest.mark.parametrize(
    ("microseconds", "quota"), [("200000\n", 2.0), ("25000", 0.25), ("-1\n", None), ("x", None)]
)
def test_quota_of_cgroup_v1(tmp_path: Path, microseconds: str, quota: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(microseconds)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert hardware._cgroup_quota(tmp_path) == quota


def test_no_cgroup_means_no_quota(tmp_path: Path) -> None:
    assert hardware._cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "cpus"), [(None, 6), (2.0, 2), (1.9, 1), (0.5, 1), (64.0, 6)])
def test_threads_are_bounded_by_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(hardware, "_cgroup_quota", lambda: quota)
    assert usable_cpus() == cpus


def test_threads_and_batch_tokens_can_be_set() -> None:
    config = choose_device("cpu", "float32", threads=3, max_batch_tokens=99)
    assert (config.threads, config.max_batch_tokens) == (3, 99)
    config = choose_device("cpu", "float32")
    assert config.threads == usable_cpus()
    assert config.max_batch_tokens > 0


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2", "avx512f"}, "float32"),
        ({"avx512_bf16"}, "bfloat16"),
        ({"amx_bf16", "avx2"}, "bfloat16"),
        (set(), "float32"),
    ],
)
def test_bfloat16_is_chosen_only_where_the_processor_multiplies_it_faster(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str
) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    config = choose_device("cpu")
    assert config.dtype == dtype
    assert config.torch_dtype == getattr(torch, dtype)


def test_float16_on_a_cpu_is_refused_with_what_to_choose() -> None:
    with pytest.raises(SettingsError, match="bfloat16 or float32") as caught:
        choose_device("cpu", "float16")
    assert caught.value.param == "dtype"


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused_by_name(device: str) -> None:
    with pytest.raises(SettingsError, match=f"device '{device}' is not available") as caught:
        choose_device(device)
    assert caught.value.param == "device"


def test_the_processors_flags_are_words() -> None:
    assert all(flag and flag == flag.strip() for flag in hardware.cpu_flags())
