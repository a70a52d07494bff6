"""Which peers there are, and in which environment each is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = ".venv-peers-{}"
"""Where an environment is looked for, in the working folder, by the peer's short name."""


class PeerError(ValueError):
    """No peer has that name."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One library.

    Attributes:
        name: on the command line and in tables.
        package: the distribution whose presence says that it is installed.
        adapter: file of the adapter.
        environment: short name of the environment that `make speed-peers` makes; None for ours.
        dtypes: dtypes to measure it in, on a CPU.
        roles: what it can be measured as.
    """

    name: str
    package: str
    adapter: Path
    environment: str | None = None
    dtypes: tuple[str, ...] = ("float32",)
    roles: tuple[str, ...] = ("cross-encoder", "bi-encoder")


OWN = Peer("reranker", "reranker", HERE / "own.py")
PEERS = (
    Peer(
        "sentence-transformers",
        "sentence-transformers",
        HERE / "sbert.py",
        dtypes=("float32", "bfloat16"),
    ),
    Peer("FlagEmbedding", "FlagEmbedding", HERE / "flag_embedding.py", roles=("cross-encoder",)),
    Peer(
        "infinity-emb",
        "infinity-emb",
        HERE / "infinity.py",
        environment="infinity",
        dtypes=("float32", "bfloat16"),
    ),
    Peer("onnxruntime", "onnxruntime", HERE / "onnx_runtime.py", environment="onnx"),
)
NAMES = tuple(peer.name for peer in PEERS)


def chosen(names: str) -> tuple[Peer, ...]:
    """Return the peers named with commas; "all" and "none" are understood.

    Raises:
        PeerError: one of them does not exist.
    """
    if names in ("all", "none"):
        return PEERS if names == "all" else ()
    known = {peer.name.lower(): peer for peer in PEERS}
    requested = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in requested if name not in known]
    if unknown:
        raise PeerError(f"unknown peer {unknown[0]!r}; known: {', '.join(NAMES)}, all, none")
    return tuple(peer for peer in PEERS if peer.name.lower() in requested)


def interpreter(peer: Peer, environments: Mapping[str, Path], folder: Path = Path()) -> Path | None:
    """Return the Python that a peer is installed for, or None where it is not installed.

    Args:
        peer: the peer.
        environments: folder of the environment by peer name, where the user named one.
        folder: where environments of `make speed-peers` are looked for.
    """
    named = environments.get(peer.name)
    if named is None and peer.environment is not None:
        named = folder / ENVIRONMENTS.format(peer.environment)
    candidates = [python_of(named)] if named is not None else []
    if peer.name not in environments:
        candidates.append(Path(sys.executable))
    return next((python for python in candidates if _has(python, peer.package)), None)


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    windows = environment / "Scripts" / "python.exe"
    # Not resolved: the link's own place is what makes it the environment's interpreter.
    return (windows if windows.exists() else environment / "bin" / "python").absolute()


def _has(python: Path, package: str) -> bool:
    code = f"from importlib.metadata import version; version({package!r})"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return done.returncode == 0
