"""Settings: who wins, and how plainly a mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from reranker.errors import SettingsError
from reranker.settings import (
    Section,
    Settings,
    check_known,
    read_config,
    resolve,
)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def made(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "reranker.toml"
        path.write_text(text, encoding)
        return path

    return made


class Listening(Section):
    names: tuple[str, ...] = ()
    maybe: tuple[str, ...] | None = None
    port: int = Field(80, ge=0)


def test_argument_over_environment_over_file_over_default(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[engine]\nthreads = 3\ncache_mb = 30\ntoken_budget = 300\n")
    monkeypatch.setenv("RERANKER_CACHE_MB", "40")
    monkeypatch.setenv("RERANKER_TOKEN_BUDGET", "400")
    resolved = resolve(Settings, "engine", read_config(path), {"token_budget": 500})
    value, sources = resolved.value, resolved.sources
    assert (value.offline, sources["offline"]) == (False, "default")
    assert (value.threads, sources["threads"]) == (3, f"{path}:2: engine.threads")
    assert (value.cache_mb, sources["cache_mb"]) == (40, "RERANKER_CACHE_MB")
    assert (value.token_budget, sources["token_budget"]) == (500, "argument token_budget")
    assert sources.keys() == Settings.model_fields.keys()


def test_load_reads_the_file_that_the_environment_names(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANKER_CONFIG", str(write("[engine]\noffline = true\n")))
    assert Settings.load().offline is True
    assert Settings.load(offline=False).offline is False


def test_an_argument_of_none_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKER_THREADS", "5")
    assert Settings.load(threads=None).threads == 5


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("0", False), ("no", False)]
)
def test_a_flag_can_be_set_by_a_variable(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("RERANKER_OFFLINE", text)
    assert Settings.load().offline is value


def test_lists_are_written_with_commas_in_a_variable() -> None:
    environ = {"RERANKER_NAMES": "a, b,,c ", "RERANKER_MAYBE": "x,y"}
    value = resolve(Listening, "listening", read_config(None, {}), {}, environ).value
    assert value.names == ("a", "b", "c")
    assert value.maybe == ("x", "y")


def test_an_unknown_key_names_file_line_and_nearest_key(write: Any) -> None:
    path = write("# comment\n\n[engine]\ndevice = 'cpu'\ntreads = 4\n")
    with pytest.raises(SettingsError, match="did you mean 'threads'") as caught:
        Settings.load(path)
    assert str(caught.value).startswith(f"{path}:5: engine.treads: unknown setting")


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"argument ofline.*did you mean 'offline'"):
        Settings.load(ofline=True)


def test_an_unknown_table_is_refused_with_its_line(write: Any) -> None:
    path = write("[engine]\noffline = true\n\n[engin]\nthreads = 1\n")
    with pytest.raises(SettingsError, match=r":4: engin: unknown table; known: engine") as caught:
        Settings.load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SettingsError, match=r":4: engin: unknown table"):
        check_known({"engine": Settings}, read_config(path), {})


def test_the_servers_table_does_not_disturb_the_library(write: Any) -> None:
    assert Settings.load(write("[server]\nport = 1\n[engine]\nthreads = 2\n")).threads == 2


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"RERANKER_OFLINE; did you mean RERANKER_OFFLINE\?"):
        check_known({"engine": Settings}, read_config(None, {}), {"RERANKER_OFLINE": "1"})
    check_known({"engine": Settings}, read_config(None, {}), {"RERANKER_OFFLINE": "1", "PATH": ""})


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[engine]\nthreads = 'many'\n", 2, "engine.threads"),
        ("[engine]\n\n\nthreads = -1\n", 4, "engine.threads"),
        ("[engine]\ndtype = 'int8'\n", 2, "engine.dtype"),
        ("[engine]\nmodel = 3\n", 2, "engine.model"),
        ("[engine]\n'models_on_request' = 'all'\n", 2, "engine.models_on_request"),
        ("[bi-encoders]\nours = 'minilm'\nbad = 7\n", 3, "bi-encoders.bad"),
        ("[cross-encoders]\nx = ['a']\n", 2, "cross-encoders.x"),
        ("[bi-encoders]\n'a/b' = 'nonsense'\n", 2, "bi-encoders.a/b"),
        ("[bi-encoders]\nours = { rpo = 'a/b' }\n", 2, "bi-encoders.ours"),
        ("[engine]\n[bi-encoders.en]\npath = 3\n", 2, "bi-encoders.en"),
        ("[bi-encoders]\n[bi-encoders.'bge-m3']\nmax_tokens = true\n", 2, "bi-encoders.bge-m3"),
        ("engine = 3\n", 1, "engine"),
        ("[engine]\n[[bi-encoders]]\nx = 1\n", 2, "bi-encoders"),
    ],
)
def test_a_value_that_cannot_be_used_names_file_line_and_key(
    write: Any, text: str, line: int, key: str
) -> None:
    path = write(text)
    with pytest.raises(SettingsError) as caught:
        Settings.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: {key}: ")
    assert "\n" not in str(caught.value)


def test_a_value_from_the_environment_that_cannot_be_used_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RERANKER_THREADS", "many")
    with pytest.raises(SettingsError, match="RERANKER_THREADS: ") as caught:
        Settings.load()
    assert caught.value.param == "threads"


@pytest.mark.parametrize(
    ("text", "line"),
    [("[engine]\nthreads = \n", 2), ("[engine\n", 1), ("a = 1\na = 2\n", 2), ("\n\nx = [1,\n", 3)],
)
def test_broken_toml_names_file_and_line(write: Any, text: str, line: int) -> None:
    path = write(text)
    with pytest.raises(SettingsError, match="not valid TOML") as caught:
        Settings.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        Settings.load(tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"x = '\xe9'\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path / "latin.toml")


def test_a_file_saved_with_a_byte_order_mark_is_read(write: Any) -> None:
    assert Settings.load(write("[engine]\nthreads = 2\n", "utf-8-sig")).threads == 2


def test_models_are_read_from_their_own_tables(write: Any) -> None:
    path = write(
        "[bi-encoders]\n'ours' = '/models/ours'\n"
        "[cross-encoders.theirs]\nrepo = 'a/b'\nrevision = 'c'\n"
    )
    settings = Settings.load(path)
    assert settings.bi_encoders == {"ours": "/models/ours"}
    assert settings.cross_encoders == {"theirs": {"repo": "a/b", "revision": "c"}}


def test_settings_cannot_be_changed_once_resolved() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().threads = 3
