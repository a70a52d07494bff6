"""What a user may choose of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.peers.environments import PEERS, Peer

WORKLOADS = ("w1", "w2", "w3", "w3m3", "w4", "w5", "w6")
DEFAULT_WORKLOADS = ("w1", "w2", "w3", "w4", "w5")
"""Those that take minutes; `w3m3` loads 2 GB a side and `w6` ranks 10,000 documents."""

BACKENDS = ("torch", "openvino", "auto")
CACHE = Path(".cache/speed")
DATA = Path("../shared/data")


class OptionError(ValueError):
    """An option cannot be used; says which and why."""


@dataclass(frozen=True, slots=True)
class RaceOptions:
    """The choices.

    Attributes:
        workloads: short names, in order.
        peers: who is measured beside us.
        repeats: timed runs of each side, taken in turns.
        data: folder of collections, of which `cranfield` is used; the sample where it is absent.
        threads: CPU threads of every side.
        documents: of a pool; None is what the workload says.
        queries: pools in a run; None is what the workload says.
        seconds: how long clients load a server in one repeat.
        clients: how many closed-loop clients, one level after the other.
        device: where models run.
        backend: that ours runs on in w4 to w6; the others measure each that is installed.
        environments: folder of a peer's environment, by the peer's name.
        cache: folder for checkpoints, which are built once.
    """

    workloads: Sequence[str] = DEFAULT_WORKLOADS
    peers: Sequence[Peer] = PEERS
    repeats: int = 5
    data: Path = DATA
    threads: int = 1
    documents: int | None = None
    queries: int | None = None
    seconds: float = 3.0
    clients: Sequence[int] = (1, 8, 32, 128)
    device: str = "cpu"
    backend: str = "torch"
    environments: Mapping[str, Path] = field(default_factory=dict)
    cache: Path = CACHE

    def to_json(self) -> dict[str, object]:
        """Return what every workload's numbers depend on."""
        return {"threads": self.threads, "device": self.device, "repeats": self.repeats}


def workloads_of(text: str) -> tuple[str, ...]:
    """Return the workloads named with commas, "all" for every one.

    Raises:
        OptionError: one does not exist, or none is named.
    """
    if text == "all":
        return WORKLOADS
    named = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in named if name not in WORKLOADS]
    if unknown or not named:
        raise OptionError(
            f"unknown workload {unknown[0]!r}; known: {', '.join(WORKLOADS)}, all"
            if unknown
            else "--workloads names none"
        )
    return named


def environments_of(texts: Sequence[str]) -> dict[str, Path]:
    """Return folders by peer from texts like `infinity-emb=/opt/venv`.

    Raises:
        OptionError: one has no `=`, or names a peer that does not exist.
    """
    names = {peer.name.lower(): peer.name for peer in PEERS}
    found = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or name.lower() not in names:
            raise OptionError(f"--environment {text}: write PEER=FOLDER, of {', '.join(names)}")
        found[names[name.lower()]] = Path(folder)
    return found


def levels_of(text: str) -> tuple[int, ...]:
    """Return numbers of clients from a text like `1,8,32`.

    Raises:
        OptionError: one is not a whole number of at least 1, or there is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise OptionError(f"--clients {text}: write whole numbers with commas, like 1,8,32")
    return tuple(dict.fromkeys(int(part) for part in parts))


def backend_of(text: str) -> str:
    """Return the backend, if there is such a one.

    Raises:
        OptionError: there is not.
    """
    if text not in BACKENDS:
        raise OptionError(f"--backend {text}: write one of {', '.join(BACKENDS)}")
    return text
