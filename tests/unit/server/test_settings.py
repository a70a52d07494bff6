"""Server settings: names of the last release still work, with a warning that has the new one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reranker.settings import read_config, resolve
from reranker_server import ServerSettings


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("open_metrics", "metrics_public", False),
        ("load_patience_ms", "model_load_timeout_ms", 7),
        ("data_copy", "cohere_include_data", False),
    ],
)
@pytest.mark.parametrize("source", ["file", "variable"])
def test_an_old_name_sets_the_new_one_with_a_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    old: str,
    new: str,
    value: object,
    source: str,
) -> None:
    path = tmp_path / "reranker.toml"
    text = str(value).lower()
    path.write_text(f"[server]\n{old} = {text}\n" if source == "file" else "")
    environ = {} if source == "file" else {f"RERANKER_{old.upper()}": text}
    with caplog.at_level(logging.WARNING):
        found = resolve(ServerSettings, "server", read_config(path, {}), {}, environ).value
    assert found.model_dump()[new] == value
    assert new in caplog.text.lower()
    assert old in caplog.text.lower()
