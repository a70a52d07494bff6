"""What runs a model: torch, its weights packed on a CPU, or an export for OpenVINO if that pays."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from reranker.backends import openvino
from reranker.backends.autotune import difference, tolerance_of
from reranker.backends.openvino import Exported, Features
from reranker.errors import ModelUnavailable

if TYPE_CHECKING:
    from reranker.backends.autotune import Tunable
    from reranker.backends.device import Hardware
    from reranker.backends.variants import ExecutionVariants
    from reranker.scheduling.scheduler import BatchScheduler

log = logging.getLogger(__name__)

_TRIAL = (3, 16)  # texts, and tokens of each, that packed weights are tried on


class Exportable(Protocol):
    """What a model must offer to be exported."""

    name: str
    runner: BatchScheduler[Any, Any]
    ways: ExecutionVariants

    def samples(self) -> Sequence[Features]:
        """Return batches of real text as the network reads them, of several lengths."""


def default_folder() -> Path:
    """Return where exports are kept unless a setting says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "reranker"


def offer_exports(model: Exportable, hardware: Hardware) -> None:
    """Give a model the ways of OpenVINO, exporting its network if it never was.

    Where the backend is left to us this adds ways, of which a warm-up may choose one; where
    OpenVINO was asked for by name it is used at once. An export that is off by more than the
    warm-up's tolerance is not offered.

    Raises:
        MissingExtra: OpenVINO was asked for by name and is not installed.
        ModelUnavailable: it was asked for by name and the model does not run on it.
    """
    named = hardware.backend == "openvino"
    if named:
        openvino.require()
    elif hardware.backend == "torch" or hardware.device != "cpu" or not openvino.is_installed():
        return
    found: dict[str, Exported] = {}
    reasons = []
    if model.ways.network is None:
        reasons.append("openvino: it is no transformer")
    elif hardware.device != "cpu":
        reasons.append(f"openvino: it is on {hardware.device}")
    else:
        with model.ways.plain_weights(model.runner.exclusive):
            found, reasons = _precisions(model, hardware)
    for reason in reasons:
        log.warning("model %s does not run on %s", model.name, reason)
    if named and not found:
        raise ModelUnavailable(
            f"model {model.name!r} does not run on openvino", detail="; ".join(reasons)
        )
    model.ways.offer(found, only=named)


def prepack_weights(model: Tunable, dtype: str) -> None:
    """Lay a model's weights out for the CPU's products, unless it then answers otherwise.

    Args:
        model: loaded, and not in use yet.
        dtype: its number format, which says what counts as agreement.
    """
    if not model.ways.packable:
        model.ways.pack()  # says so where it was asked for
        return
    probe = model.probe(*_TRIAL)
    wanted = probe()
    model.ways.pack()
    apart = difference(probe(), wanted)
    if apart > tolerance_of("torch", dtype):
        log.warning("model %s: packed weights are left out, being off by %.2g", model.name, apart)
        model.ways.rule_out_packing()


def _precisions(model: Exportable, hardware: Hardware) -> tuple[dict[str, Exported], list[str]]:
    """Return the exports that answer as the model does, and why others do not."""
    found: dict[str, Exported] = {}
    reasons = []
    for int8 in (True, False) if hardware.int8 else (False,):
        way = "openvino int8" if int8 else "openvino"
        try:
            made = _exported(model, hardware, int8=int8)
        except Exception as error:  # whatever a converter or a full disk may raise
            reasons.append(f"{way}: {error}")
            continue
        if made.difference <= tolerance_of(way, "float32"):
            found[way] = made
        else:
            reasons.append(f"{way}: its answers are off by {made.difference:.2g}")
    return found, reasons


def _exported(model: Exportable, hardware: Hardware, *, int8: bool) -> Exported:
    samples = model.samples()
    root = hardware.exports.expanduser() if hardware.exports else default_folder()
    given = (list(samples[0]), hardware.dtype, hardware.threads)
    folder = openvino.export(model.ways.network, samples, root, int8=int8)
    try:
        return Exported(folder, *given)
    except Exception as error:  # a file that was cut off, for one
        log.info("the export in %s cannot be read and is made anew: %s", folder, error)
        shutil.rmtree(folder)
        return Exported(openvino.export(model.ways.network, samples, root, int8=int8), *given)
