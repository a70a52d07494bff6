"""OpenVINO as a backend: a network exported once, kept on disk, and run in int8 or as it is.

sentence-transformers has an OpenVINO backend of its own, but that needs optimum-intel,
none of whose releases can be installed beside the transformers that we run on (2.2 needs one
below 5.6; earlier ones a safetensors below 0.8). So OpenVINO reads the torch network itself, with
the batch's size and length left open, and NNCF quantizes it to int8, calibrated on real text.

The export is compared with its network before it is kept, and how far it is off is stored beside
it.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import logging
import re
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reranker.backends.cpu_bert.prepacked_linear import exact_parts
from reranker.backends.cpu_bert.unpad import UnpaddedEncoder
from reranker.backends.fingerprint import fingerprint
from reranker.backends.tuning.agreement import difference
from reranker.errors import MissingExtra

log = logging.getLogger(__name__)

_SHAPES_KEPT = 256
_FORMAT = 5  # raise it when exporting changes
_OF_ALL_TOKENS = r"attention\.self\.(key|value)/"
_AFTER = "pooler|classifier"
Features = Mapping[str, torch.Tensor]


def is_installed() -> bool:
    """Whether the packages of the extra are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "nncf"))


def require() -> None:
    """Raise `MissingExtra` unless the packages of the extra are there."""
    if not is_installed():
        raise MissingExtra(
            "the openvino backend needs its packages: pip install 'reranker[openvino]'"
        )


class OpenVinoBackend:
    """A compiled export; see `Backend`.

    It takes all threads for one batch, so a second one waits: concurrent batches gained nothing.

    Args:
        folder: where the export lies.
        names: of the inputs, in the order of the export.
        dtype: "float32", or the dtype in which what is not int8 is computed.
        threads: of the CPU.
    """

    def __init__(self, folder: Path, names: Sequence[str], dtype: str, threads: int) -> None:
        self._names = tuple(names)
        facts = json.loads((folder / "export.json").read_text("utf-8"))
        self.difference = float(facts["difference"])
        self.name = "openvino int8" if facts["int8"] else "openvino"
        self._request = _compile(folder / "model.xml", dtype, threads)
        self._one = threading.Lock()

    def __call__(self, features: Features) -> torch.Tensor:
        """Run one batch; inputs that the export has no use for are left out."""
        with self._one:
            return torch.from_numpy(_run(self._request, [features[n] for n in self._names]))


def export(
    network: torch.nn.Module, samples: Sequence[Features], root: Path, *, int8: bool
) -> Path:
    """Return the folder of a network's export; export it unless it is there already.

    Args:
        network: returns `logits` or `last_hidden_state`, weights plain; is left as it is.
        samples: batches of real text of several lengths; the export is compared with the
            network on every fourth, and calibrated on the others.
        root: folder of all exports.
        int8: whether to quantize it.
    """
    versions = {name: version(name) for name in ("openvino", "nncf")}
    key = fingerprint([network], _FORMAT, versions, *samples[0])
    folder = root / f"openvino-{'int8' if int8 else 'float'}-{key}"
    if (folder / "export.json").is_file():
        return folder
    log.info("exporting a network for OpenVINO%s; this is done once", ", in int8" if int8 else "")
    root.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=root))
    try:
        facts = _write(network, samples, new / "model.xml", int8=int8)
        (new / "export.json").write_text(json.dumps({**facts, **versions}), "utf-8")
        with contextlib.suppress(OSError):  # another process was first, which is as good
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def _write(
    network: torch.nn.Module, samples: Sequence[Features], path: Path, *, int8: bool
) -> dict[str, Any]:
    """Convert and save a network; return how far it is off, and whether it is in int8."""
    plain = _Plain(copy.deepcopy(network).float().cpu(), list(samples[0]))
    checks = [tuple(sample.values()) for sample in samples[::4]]
    with _quiet(), torch.inference_mode():
        expected = [plain(*check).numpy() for check in checks]
        openvino = _openvino()
        converted = openvino.convert_model(plain, example_input=checks[0])
        if int8:
            others = [sample for i, sample in enumerate(samples) if i % 4]
            converted = _in_int8(converted, others, _exact(network))
        openvino.save_model(converted, path, compress_to_fp16=False)
    request = _compile(path, "float32", torch.get_num_threads())
    masks = [sample["attention_mask"].numpy() for sample in samples[::4]]
    apart = [
        difference(_comparable(_run(request, check), mask), _comparable(torch_output, mask))
        for check, torch_output, mask in zip(checks, expected, masks, strict=True)
    ]
    return {"difference": max(apart), "int8": int8}


def _exact(network: torch.nn.Module) -> list[str]:
    """Return patterns of the operations that int8 must leave alone.

    Operations on the first token alone, in the last layer and after it, cost little in float, and
    calibration sees too few of their values: one row per text.
    """
    parts = [rf".*\.{name}[./].*" for name in exact_parts(network)]
    for name, part in network.named_modules():
        if isinstance(part, UnpaddedEncoder) and part.first_only:
            last = re.escape(f"{name}.layer.{len(part.layer) - 1}")
            parts.append(rf".*\.{last}\.(?!{_OF_ALL_TOKENS}).*")
            parts.append(rf".*\.({_AFTER})[./].*")
    return parts


def _in_int8(converted: Any, samples: Sequence[Features], exact: Sequence[str]) -> Any:
    """Return a converted network in int8 but for operations whose names match `exact`."""
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    left = nncf.IgnoredScope(patterns=list(exact))
    rows = [[part.numpy() for part in sample.values()] for sample in samples]
    return nncf.quantize(
        converted,
        nncf.Dataset(rows),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(rows),
        ignored_scope=left,
    )


def _comparable(output: np.ndarray[Any, np.dtype[np.float32]], mask: Any) -> Any:
    """Return what to compare: logits, or unit vectors of texts and of every fourth token."""
    if output.ndim == 2:
        return output[:, 0]
    real = mask.astype(np.float32)[..., None]
    rows = np.concatenate([(output * real).sum(1), output[mask > 0][::4]])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _compile(path: Path, dtype: str, threads: int) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        # Other threads of this process need the cores as well, to tokenize for one.
        "ENABLE_CPU_PINNING": False,
        # It caches megabytes per shape, 5,000 shapes by default; see `limit_shape_caches`.
        "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES_KEPT,
    }
    return _openvino().Core().compile_model(path, "CPU", settings).create_infer_request()


def _run(request: Any, inputs: Sequence[torch.Tensor]) -> np.ndarray[Any, np.dtype[np.float32]]:
    output: np.ndarray[Any, np.dtype[np.float32]] = request.infer([x.numpy() for x in inputs])[0]
    return output.copy()  # the next run overwrites this buffer


class _Plain(torch.nn.Module):
    """A network whose inputs and one output are plain tensors."""

    def __init__(self, network: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        output: Any = self.network(**dict(zip(self.names, features, strict=True)))
        result: torch.Tensor = output["logits" if "logits" in output else "last_hidden_state"]
        return result


def _openvino() -> Any:
    """Import OpenVINO, which sends usage data unless the package that does it is missing."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters from warning of how torch is traced, and from drawing bars."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
