"""Every curl of `docs/dialects.md` is run, and its response is the one shown there.

WRITE_TRANSCRIPTS=1 rewrites the responses instead, as after a change of weights.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dialects.md"
BLOCK = re.compile(r"```sh\n(curl .*?)\n```\n\n```json(?: (\d+))?\n(.*?)\n```", re.DOTALL)
ANY = "\u2026"
# On the machine, when a model is warmed.
MEASURED = {"attention", "packed_weights", "max_batch_tokens", "concurrent_batches"}
VOLATILE = {"created", "request_id", "device", "dtype", "model_dtype", *MEASURED}
VOLATILE |= {"timings_ms", "cached", "tokenization_workers"}
# Weights may be trained anew; the numbers of the bi-encoder stay.
LEARNED = re.compile(r"\.(relevance_score|score|logit|scores\[\d+\])$")
# Random ids, and the list of models, which is the operator's.
CHANCE = re.compile(r"(^(?:rr|score)-|; known: ).*")
RELEASE = re.compile(r"\d+\.\d+\.\d+\S*")
WIDTH = 96
SHOWN = 3  # of a vector


def run(command: str, base: str) -> tuple[int, Any]:
    done = subprocess.run(
        ["sh", "-c", f"{command} -w '\\n%{{http_code}}'"],
        env={**os.environ, "BASE": base},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def differs(shown: Any, found: Any, place: str = "", *, learned: bool = True) -> str:
    """Return where two answers differ, or nothing; floats may by a little."""
    if shown == ANY:
        return ""
    if isinstance(shown, str) and isinstance(found, str) and shown.endswith(ANY):
        return "" if found.startswith(shown[:-1]) else f"{place}: {found!r} for {shown!r}"
    if isinstance(shown, float) and isinstance(found, float):
        if learned and LEARNED.search(place):
            unit = not 0 <= shown <= 1 or 0 <= found <= 1
            return "" if unit and math.isfinite(found) else f"{place}: {found}"
        same = math.isclose(shown, found, rel_tol=0.05, abs_tol=0.02)
        return "" if same else f"{place}: {found} for {shown}"
    if isinstance(shown, dict) and isinstance(found, dict):
        if shown.keys() != found.keys():
            return f"{place}: keys {sorted(found)} for {sorted(shown)}"
        parts = ((shown[name], found[name], f"{place}.{name}") for name in shown)
        return next(filter(None, (differs(*part, learned=learned) for part in parts)), "")
    if isinstance(shown, list) and isinstance(found, list):
        if shown and shown[-1] == ANY:
            shown, found = shown[:-1], found[: len(shown) - 1]
        if len(shown) != len(found):
            return f"{place}: {len(found)} items for {len(shown)}"
        parts = ((a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(shown, found, strict=True)))
        return next(filter(None, (differs(*part, learned=learned) for part in parts)), "")
    same = type(shown) is type(found) and shown == found
    return "" if same else f"{place}: {found!r} for {shown!r}"


def steady(value: Any, name: str = "") -> Any:
    """Return an answer without what changes from run to run."""
    if name in VOLATILE and value is not None:
        return ANY
    if isinstance(value, dict):
        return {key: steady(each, key) for key, each in value.items()}
    if isinstance(value, list):
        if len(value) > 20 and all(isinstance(each, float) for each in value):
            return [*(round(each, 4) for each in value[:SHOWN]), ANY]
        return [steady(each) for each in value]
    if isinstance(value, str):
        long = len(value) > 1000 or RELEASE.fullmatch(value)
        return ANY if long else CHANCE.sub(rf"\1{ANY}", value)
    return round(value, 4) if isinstance(value, float) else value


def pretty(value: Any, indent: int = 0) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {pretty(v, indent + 1)}" for k, v in value.items()]
        return "{" + f",\n{pad}".join(parts) + "}"
    return "[" + f",\n{pad}".join(pretty(each, indent + 1) for each in value) + "]"


def test_the_transcripts_are_true(base):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    text = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```sh")
    wrong = []
    for block in blocks:
        status, found = run(block[1], base)
        if "WRITE_TRANSCRIPTS" in os.environ:
            fence = "json" if status == 200 else f"json {status}"
            shown = f"```sh\n{block[1]}\n```\n\n```{fence}\n{pretty(steady(found))}\n```"
            text = text.replace(block[0], shown, 1)
        elif status != int(block[2] or 200):
            wrong.append(f"{block[1][:60]}: {status}")
        elif difference := differs(json.loads(block[3]), found, learned='"fast"' not in block[1]):
            wrong.append(f"{block[1][:60]}: {difference}")
    if "WRITE_TRANSCRIPTS" in os.environ:
        PAGE.write_text(text, "utf-8")
    assert not wrong, "\n".join(wrong)
