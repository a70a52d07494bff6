"""Settings: who wins, and how plainly a mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from reranker.errors import SettingsError
from reranker.settings import (
    Section,
    Settings,
    Tuning,
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
    path = write("[engine]\ncache_mb = 30\n[engine.tuning]\nthreads = 3\nmax_batch_tokens = 300\n")
    monkeypatch.setenv("RERANKER_CACHE_MB", "40")
    monkeypatch.setenv("RERANKER_MAX_BATCH_TOKENS", "400")
    resolved = resolve(Settings, "engine", read_config(path), {"max_batch_tokens": 500})
    value, sources = resolved.value, resolved.sources
    assert (value.offline, sources["offline"]) == (False, "default")
    assert (value.tuning.threads, sources["threads"]) == (3, f"{path}:4: engine.threads")
    assert (value.cache_mb, sources["cache_mb"]) == (40, "RERANKER_CACHE_MB")
    source = sources["max_batch_tokens"]
    assert (value.tuning.max_batch_tokens, source) == (500, "argument max_batch_tokens")
    assert sources.keys() == {*Settings.model_fields, *Tuning.model_fields} - {"tuning"}


def test_load_reads_the_file_that_the_environment_names(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANKER_CONFIG", str(write("[engine]\noffline = true\n")))
    assert Settings.load().offline is True
    assert Settings.load(offline=False).offline is False


def test_an_argument_of_none_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKER_THREADS", "5")
    assert Settings.load(threads=None).tuning.threads == 5


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
    path = write("# comment\n\n[engine]\ndevice = 'cpu'\nofline = true\n")
    with pytest.raises(SettingsError, match="did you mean 'offline'") as caught:
        Settings.load(path)
    assert str(caught.value).startswith(f"{path}:5: engine.ofline: unknown setting")


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"argument ofline: unknown setting; did you mean 'offline'"
    ):
        Settings.load(ofline=True)


def test_an_unknown_table_is_refused_with_its_line(write: Any) -> None:
    path = write("[engine]\noffline = true\n\n[engin]\nthreads = 1\n")
    with pytest.raises(SettingsError, match=r":4: engin: unknown table; known: engine") as caught:
        Settings.load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SettingsError, match=r":4: engin: unknown table"):
        check_known({"engine": Settings}, read_config(path), {})


def test_the_servers_table_does_not_disturb_the_library(write: Any) -> None:
    assert Settings.load(write("[server]\nport = 1\n[engine]\ncache_mb = 2\n")).cache_mb == 2


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"RERANKER_OFLINE; did you mean RERANKER_OFFLINE\?"):
        check_known({"engine": Settings}, read_config(None, {}), {"RERANKER_OFLINE": "1"})
    check_known({"engine": Settings}, read_config(None, {}), {"RERANKER_OFFLINE": "1", "PATH": ""})


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[engine]\ncache_mb = 'many'\n", 2, "engine.cache_mb"),
        ("[engine]\n\n\ncache_mb = -1\n", 4, "engine.cache_mb"),
        ("[engine]\ndtype = 'int4'\n", 2, "engine.dtype"),
        ("[engine]\n[engine.tuning]\nthreads = 'many'\n", 3, "engine.threads"),
        ("[engine.tuning]\n\nmax_batch_tokens = -1\n", 3, "engine.max_batch_tokens"),
        ("[engine]\ntuning.attn_implementation = 'x'\n", 2, "engine.attn_implementation"),
        ("[engine]\ntuning = { autotune = 7 }\n", 2, "engine.autotune"),
        ("[engine]\n\ntuning = 3\n", 3, "engine.tuning"),
        ("[engine]\ntoken_budget = -1\n", 2, "engine.token_budget"),
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
    assert Settings.load(write("[engine]\ncache_mb = 2\n", "utf-8-sig")).cache_mb == 2


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
        Settings.load().cache_mb = 3
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().tuning.threads = 3


RENAMED = [
    ("token_budget", "max_batch_tokens", 300, 400),
    ("measure", "autotune", False, True),
    ("attention", "attn_implementation", "eager", "sdpa"),
    ("weights", "cpu_weight_layout", "plain", "packed"),
    ("exports", "openvino_cache_dir", Path("/a"), Path("/b")),
]
WARNED = [*RENAMED, ("threads", "threads", 3, 4)]


def toml(value: object) -> str:
    return f"'{value}'" if isinstance(value, str | Path) else str(value).lower()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "reranker.settings"]


@pytest.mark.parametrize(("old", "new", "value", "_"), WARNED)
def test_an_old_name_in_the_file_is_accepted_with_a_warning(
    write: Any, caplog: pytest.LogCaptureFixture, old: str, new: str, value: object, _: object
) -> None:
    path = write(f"[engine]\n\n{old} = {toml(value)}\n")
    assert getattr(Settings.load(path).tuning, new) == value
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"{path}:3: engine.{old} is now engine.tuning.{new};")


@pytest.mark.parametrize(("old", "new", "value", "_"), RENAMED)
def test_an_old_name_in_the_new_table_is_accepted_with_a_warning(
    write: Any, caplog: pytest.LogCaptureFixture, old: str, new: str, value: object, _: object
) -> None:
    path = write(f"[engine.tuning]\n{old} = {toml(value)}\n")
    assert getattr(Settings.load(path).tuning, new) == value
    (warning,) = warnings_of(caplog)
    assert f"is now engine.tuning.{new};" in warning


@pytest.mark.parametrize(("old", "new", "value", "_"), RENAMED)
def test_an_old_variable_is_accepted_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    old: str,
    new: str,
    value: object,
    _: object,
) -> None:
    monkeypatch.setenv(variable := f"RERANKER_{old.upper()}", str(value))
    assert getattr(Settings.load().tuning, new) == value
    (warning,) = warnings_of(caplog)
    assert variable in warning
    assert f"RERANKER_{new.upper()}" in warning
    check_known({"engine": Settings}, read_config(None, {}), {variable: str(value)})


@pytest.mark.parametrize(("old", "new", "value", "_"), RENAMED)
def test_an_old_argument_is_accepted_with_a_warning(
    caplog: pytest.LogCaptureFixture, old: str, new: str, value: object, _: object
) -> None:
    assert getattr(Settings.load(**{old: value}).tuning, new) == value
    (warning,) = warnings_of(caplog)
    assert f"'{old}'" in warning or f"argument {old}" in warning
    assert f"'{new}'" in warning


@pytest.mark.parametrize(("old", "new", "value", "_"), WARNED)
def test_an_old_name_in_code_is_accepted_with_a_warning(
    caplog: pytest.LogCaptureFixture, old: str, new: str, value: object, _: object
) -> None:
    old_settings: Any = Settings(**{old: value})  # type: ignore[arg-type]
    assert getattr(old_settings.tuning, new) == value
    (warning,) = warnings_of(caplog)
    assert f"setting '{old}' is now 'tuning.{new}';" in warning


@pytest.mark.parametrize(("old", "new", "value", "other"), RENAMED)
def test_the_new_name_in_the_same_place_wins(
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    value: object,
    other: object,
) -> None:
    path = write(f"[engine.tuning]\n{new} = {toml(value)}\n[engine]\n{old} = {toml(other)}\n")
    assert getattr(Settings.load(path).tuning, new) == value
    assert getattr(Settings.load(**{new: value, old: other}).tuning, new) == value
    assert getattr(Settings.load(**{old: other, new: value}).tuning, new) == value
    monkeypatch.setenv(f"RERANKER_{old.upper()}", str(other))
    monkeypatch.setenv(f"RERANKER_{new.upper()}", str(value))
    assert getattr(Settings.load().tuning, new) == value


@pytest.mark.parametrize(("old", "new", "value", "other"), RENAMED)
def test_the_new_name_in_code_wins(old: str, new: str, value: object, other: object) -> None:
    inner: dict[str, Any] = {new: value}
    for tuning in (inner, Tuning(**inner)):
        settings: Any = Settings(tuning=tuning, **{old: other})  # type: ignore[arg-type]
        assert getattr(settings.tuning, new) == value
    assert getattr(Tuning(**{new: value, old: other}), new) == value  # type: ignore[arg-type]


def test_the_new_table_wins_over_the_old_place(write: Any) -> None:
    path = write("[engine.tuning]\nthreads = 3\n[engine]\nthreads = 4\n")
    assert Settings.load(path).tuning.threads == 3


def test_old_and_new_names_side_by_side_are_both_used(write: Any) -> None:
    settings = Settings(token_budget=7, tuning=Tuning(threads=3))  # type: ignore[call-arg]
    assert (settings.tuning.max_batch_tokens, settings.tuning.threads) == (7, 3)
    path = write("[engine]\ntoken_budget = 7\n[engine.tuning]\nthreads = 3\n")
    assert Settings.load(path).tuning == settings.tuning


@pytest.mark.parametrize(("old", "new", "value", "other"), RENAMED)
def test_a_nearer_old_name_wins_over_a_farther_new_one(
    write: Any, old: str, new: str, value: object, other: object
) -> None:
    path = write(f"[engine.tuning]\n{new} = {toml(other)}\n")
    assert getattr(Settings.load(path, **{old: value}).tuning, new) == value


@pytest.mark.parametrize(("old", "new", "value", "_"), WARNED)
def test_the_new_names_say_nothing(
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    old: str,
    new: str,
    value: object,
    _: object,
) -> None:
    Settings.load(write(f"[engine.tuning]\n{new} = {toml(value)}\n"))
    Settings.load(**{new: value})
    Settings(tuning=Tuning(**{new: value}))  # type: ignore[arg-type]
    monkeypatch.setenv(f"RERANKER_{new.upper()}", str(value))
    Settings.load()
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[engine]\n[engine.tuning]\n\ntreads = 4\n", 4),
        ("[engine]\ntuning.treads = 4\n", 2),
    ],
)
def test_an_unknown_key_of_an_inner_table_names_file_line_and_nearest_key(
    write: Any, text: str, line: int
) -> None:
    path = write(text)
    with pytest.raises(SettingsError, match="did you mean 'threads'") as caught:
        Settings.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: engine.treads: unknown setting")


def test_a_setting_of_the_outer_table_is_unknown_in_the_inner_one(write: Any) -> None:
    path = write("[engine.tuning]\noffline = true\n")
    with pytest.raises(SettingsError, match=r":2: engine\.offline: unknown setting"):
        Settings.load(path)


def test_an_unknown_name_in_code_is_refused() -> None:
    with pytest.raises(ValidationError, match="treads"):
        Settings(treads=3)  # type: ignore[call-arg]


def test_relative_folders_of_models_are_relative_to_the_config_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deployed" / "reranker.toml"
    file.parent.mkdir()
    file.write_text(
        '[bi-encoders]\na = "./models/a"\nb = { path = "models/b" }\nc = "/models/c"\nd = "a"\n'
    )
    monkeypatch.chdir(tmp_path)
    models = Settings.load("deployed/reranker.toml").bi_encoders
    assert models["a"] == str(file.parent / "models/a")
    assert models["b"] == {"path": str(file.parent / "models/b")}
    assert (models["c"], models["d"]) == ("/models/c", "a")


def test_a_misspelt_table_inside_a_table_is_named(write: Any) -> None:
    path = write("[engine.tunning]\nthreads = 1\n")
    with pytest.raises(
        SettingsError, match=r"engine\.tunning: unknown setting; did you mean 'tuning'"
    ):
        Settings.load(path)


def test_int8_with_a_backend_that_has_none_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(SettingsError, match=r"^dtype int8 needs the openvino backend$"):
        Settings.load(dtype="int8", backend="torch")
    assert Settings.load(dtype="int8", backend="openvino").dtype == "int8"
