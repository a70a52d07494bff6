"""The blocks of the documents: read, run, compared, and rewritten.

`python tests/support/pages.py` runs every console block of the README and of `docs/` against one
server, writes the responses into the pages, and fills what is generated. The test of the same
blocks fails when they no longer hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import generated

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
BIN = Path(sys.executable).parent
BASE = "http://127.0.0.1:8000"
STARTS_A_SERVER = re.compile(r"make serve|reranker serve")
VOLATILE = {"timings_ms", "cached", "id", "created"}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text and page."""

    language: str
    text: str
    page: Path

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with the output that follows it."""
        parts = re.split(r"^\$ ", self.text, flags=re.M)[1:]
        return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def blocks(*languages: str) -> list[Block]:
    """Return the blocks in some languages, of all pages."""
    return [
        Block(language, text, page)
        for page in PAGES
        for language, text in _BLOCK.findall(page.read_text("utf-8"))
        if language in languages
    ]


def config_files(folder: Path) -> list[Path]:
    """Write the toml blocks that name their file."""
    written = []
    for block in blocks("toml"):
        if name := re.match(r"# (\S+\.toml)\n", block.text):
            (folder / name[1]).write_text(block.text)
            written.append(folder / name[1])
    return written


@contextlib.contextmanager
def server(*arguments: str, folder: Path) -> Iterator[str]:
    """Run the server on a free port of the loopback until the block ends; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(BIN / "reranker"), "serve", "--port", str(port), *arguments]
    # What is shown holds for the base install: an export in int8 answers a little otherwise.
    own = {**os.environ, "RERANKER_BACKEND": "torch"}
    process = subprocess.Popen(command, cwd=folder, env=own, stderr=subprocess.PIPE, text=True)
    base = f"http://127.0.0.1:{port}"
    try:
        _await_ready(process, base)
        yield base
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _await_ready(process: subprocess.Popen[str], base: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {process.communicate()[1]}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if urllib.request.urlopen(f"{base}/readyz", timeout=5).status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("the server did not become ready")


def run(command: str, base: str, folder: Path) -> str:
    """Run a command as a reader would, with the server at `base`."""
    done = subprocess.run(
        ["bash", "-c", command.replace(BASE, base)],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return pretty(done.stdout)


def pretty(output: str) -> str:
    """Lay JSON out for reading: a result, or a key of meta, a line."""
    try:
        answer = json.loads(output)
    except ValueError:
        return "\n".join(line.rstrip() for line in output.strip().splitlines()) + "\n"
    if not isinstance(answer, dict):
        return json.dumps(answer, indent=1, ensure_ascii=False) + "\n"
    return "{" + ",\n ".join(f'"{key}": {_lines(part)}' for key, part in answer.items()) + "}\n"


def _lines(value: Any) -> str:
    """Write a list or an object with one entry a line."""
    value = _rounded(value)
    if isinstance(value, list) and value:
        return "[\n  " + ",\n  ".join(json.dumps(e, ensure_ascii=False) for e in value) + "]"
    if isinstance(value, dict) and value:
        return "{\n  " + ",\n  ".join(f'"{k}": {json.dumps(e)}' for k, e in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value


def same(shown: Any, real: Any, tolerance: float = 0.01) -> bool:
    """Whether two outputs agree: numbers within a tolerance, what changes by the run left out."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(
            key in VOLATILE or same(part, real[key]) for key, part in shown.items()
        )
    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(same, shown, real))
    if isinstance(shown, float) and isinstance(real, float):
        return abs(shown - real) <= tolerance
    return bool(shown == real)


def agree(shown: str, real: str) -> bool:
    try:
        return same(json.loads(shown), json.loads(real))
    except ValueError:
        words, others = shown.split(), real.split()
        return len(words) == len(others) and all(map(_word_agrees, words, others))


def _word_agrees(shown: str, real: str) -> bool:
    with contextlib.suppress(ValueError):
        return abs(float(shown) - float(real)) <= 0.01
    return shown == real


def rewrite() -> None:
    """Put the responses of today, and what is generated, into the pages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config_files(folder)
        with server("--config", "reranker.toml", folder=folder) as base:
            for page in PAGES:
                text = _BLOCK.sub(lambda match: _answered(match, base, folder), page.read_text())
                page.write_text(generated.fill(text))


def _answered(match: re.Match[str], base: str, folder: Path) -> str:
    """Return a block with the responses to its commands."""
    block = Block(match[1], match[2], README)
    if block.language != "console":
        return match[0]
    answered = [
        f"$ {command}\n" + ("" if is_start(command) else run(command, base, folder))
        for command, _ in block.commands
    ]
    return f"```console\n{''.join(answered)}```"


def is_start(command: str) -> bool:
    return bool(STARTS_A_SERVER.match(command))


if __name__ == "__main__":
    rewrite()
