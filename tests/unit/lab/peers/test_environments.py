"""Which peers there are, and where."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.peers import environments
from lab.peers.environments import PEERS, PeerError, chosen, interpreter, python_of
from lab.speed.options import WORKLOADS, OptionError, environments_of, levels_of, workloads_of


def test_peers_are_named_without_regard_to_case() -> None:
    assert [peer.name for peer in chosen("flagembedding, Infinity-emb")] == [
        "FlagEmbedding",
        "infinity-emb",
    ]
    assert chosen("all") == PEERS
    assert chosen("none") == ()
    with pytest.raises(PeerError, match="unknown peer 'tei'; known: sentence-transformers"):
        chosen("tei")


def test_every_adapter_is_there() -> None:
    assert all(peer.adapter.is_file() for peer in (*PEERS, environments.OWN))


def test_a_package_that_is_nowhere_has_no_interpreter(tmp_path) -> None:
    absent = replace(PEERS[0], package="no-such-package", environment="absent")
    assert interpreter(absent, {}, tmp_path) is None
    assert interpreter(replace(absent, package="pip"), {}, tmp_path) == Path(sys.executable)


def test_an_environment_that_was_named_is_the_only_one(tmp_path) -> None:
    present = replace(PEERS[0], package="pip")
    assert interpreter(present, {present.name: tmp_path}) is None
    folder = tmp_path / ".venv-peers-here" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    assert python_of(folder.parent) == folder / "python"  # not what the link leads to


def test_workloads_are_named_with_commas() -> None:
    assert workloads_of("W4, w1,w4") == ("w4", "w1")
    assert workloads_of("all") == WORKLOADS
    with pytest.raises(OptionError, match="unknown workload 'w9'; known: w1"):
        workloads_of("w1,w9")
    with pytest.raises(OptionError, match="names none"):
        workloads_of(" ,")


def test_environments_and_clients_are_read() -> None:
    assert environments_of(["INFINITY-emb=/opt/x"]) == {"infinity-emb": Path("/opt/x")}
    with pytest.raises(OptionError, match="write PEER=FOLDER"):
        environments_of(["/opt/x"])
    assert levels_of("1, 8,8") == (1, 8)
    with pytest.raises(OptionError, match="write whole numbers"):
        levels_of("1,many")
