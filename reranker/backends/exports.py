"""Exports for OpenVINO and prepacked weights: offered only if their outputs agree with torch's."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from reranker.backends import openvino
from reranker.backends.openvino import OpenVinoBackend
from reranker.backends.tuning.agreement import TOLERANCE, difference
from reranker.backends.tuning.autotune import Tunable
from reranker.errors import UnusableModel

if TYPE_CHECKING:
    from reranker.backends.device import DeviceConfig
    from reranker.backends.openvino import Features

log = logging.getLogger(__name__)

_TRIAL = (3, 16)  # texts, and tokens of each, that packed weights are tried on


class Exportable(Tunable, Protocol):
    """What a model must offer to be exported."""

    def export_samples(self) -> Sequence[Features]:
        """Return batches of real text as the network reads them, of several lengths."""


def default_folder() -> Path:
    """Return where exports are kept unless a setting says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "reranker"


def offer_exports(model: Exportable, config: DeviceConfig) -> None:
    """Offer a model's export for OpenVINO, exporting its network if it never was.

    With backend "auto" this adds a variant, which a warm-up may choose; an openvino backend that
    was asked for by name is used at once. An export whose outputs are off by more than the
    tolerance of its dtype is not offered.

    Raises:
        MissingExtra: OpenVINO was asked for by name and is not installed.
        UnusableModel: it was asked for by name and the model does not run on it.
    """
    named = config.backend == "openvino"
    if named:
        openvino.require()
    elif config.backend == "torch" or config.device != "cpu" or not openvino.is_installed():
        return
    exported: OpenVinoBackend | None = None
    if model.variants.torch is None:
        reason = "it has no network of transformers"
    else:
        with model.variants.plain_weights(model.scheduler.exclusive):
            exported, reason = _agreeing_export(model, config)
    if exported is not None:
        model.variants.offer({exported.name: exported}, only=named)
        return
    log.warning("model %s does not run on openvino: %s", model.name, reason)
    if named:
        raise UnusableModel(f"model {model.name!r} does not run on openvino", detail=reason)


def prepack_weights(model: Tunable, dtype: str) -> None:
    """Lay a model's weights out for the CPU's matmuls, unless its outputs then differ.

    Args:
        model: loaded, and not in use yet.
        dtype: of its weights, which says how much outputs may differ.
    """
    torch = model.variants.torch
    if torch is None:
        return
    if not model.variants.packable:
        torch.pack()  # warns if a setting asked for it
        return
    probe = model.probe(*_TRIAL)
    expected = probe()
    torch.pack()
    apart = difference(probe(), expected)
    if apart > TOLERANCE[dtype]:
        log.warning("model %s: packed weights are left out, being off by %.2g", model.name, apart)
        torch.rule_out_packing()


def _agreeing_export(model: Exportable, config: DeviceConfig) -> tuple[OpenVinoBackend | None, str]:
    """Return the export, or None and the reason why there is none."""
    try:
        exported = _export(model, config)
    except Exception as error:  # whatever a converter or a full disk may raise
        return None, str(error)
    if exported.difference <= TOLERANCE["int8" if config.int8 else "float32"]:
        return exported, ""
    return None, f"its outputs are off by {exported.difference:.2g}"


def _export(model: Exportable, config: DeviceConfig) -> OpenVinoBackend:
    samples = model.export_samples()
    root = config.openvino_cache_dir.expanduser() if config.openvino_cache_dir else default_folder()
    network: Any = model.variants.torch.network if model.variants.torch else None
    run = (list(samples[0]), config.dtype, config.threads)
    folder = openvino.export(network, samples, root, int8=config.int8)
    try:
        return OpenVinoBackend(folder, *run)
    except Exception as error:  # a file that was cut off, for one
        log.info("the export in %s is unreadable and is exported again: %s", folder, error)
        shutil.rmtree(folder)
        return OpenVinoBackend(openvino.export(network, samples, root, int8=config.int8), *run)
