"""The command line: what it prints, reads and refuses."""

from __future__ import annotations

import json

import click
import pytest
from support.fakes import FakeModels
from typer.main import get_command
from typer.testing import CliRunner

from reranker import __version__, errors
from reranker_cli import main as cli

LINES = "the weather\nmachine learning\n" + json.dumps({"text": "learning", "id": 7}) + "\n\n"


@pytest.fixture
def run(monkeypatch):
    """Run a command with model doubles; RerankerError comes out as it does of `main`."""
    monkeypatch.setattr("reranker.engine.open_pool", lambda *_: FakeModels())
    monkeypatch.setattr("reranker_cli.commands.rank.start_logging", lambda: None)

    def run(*arguments: str, text: str = LINES):
        return CliRunner().invoke(cli.app, list(arguments), input=text, catch_exceptions=False)

    return run


def every_command(command: click.Command, path: str = "reranker"):
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from every_command(sub, f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(every_command(get_command(cli.app))))
def test_every_command_and_flag_says_what_it_is(path, command):
    assert command.help, path
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path} {parameter.name}"


def test_the_version_is_printed(run):
    assert run("--version").output == f"reranker {__version__}\n"


def test_lines_are_ranked_best_first(run):
    output = run("rank", "machine learning", "--method", "fast", "--model-cross", "none").output
    assert [line.split()[1] for line in output.splitlines()] == ["1", "2", "0"]


def test_json_has_index_score_and_the_document_as_it_was(run):
    rows = json.loads(run("rank", "learning", "--json", "--top-n", "1").stdout)
    assert rows[0]["document"] == {"text": "learning", "id": 7}
    assert rows[0].keys() == {"index", "relevance_score", "document"}


def test_fields_to_rank_on_can_be_named(run):
    text = '{"title": "a way", "body": "to learn"}\n{"title": "learning"}\n'
    fields = ("--rank-fields", "title", "--rank-fields", "body")
    rows = json.loads(run("rank", "learning", "--json", *fields, text=text).stdout)
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[1]["document"] == {"title": "a way", "body": "to learn"}


def test_a_text_may_hold_what_separates_lines_elsewhere(run):
    text = json.dumps({"text": "one\u2028two"}, ensure_ascii=False) + "\nthree\n"
    rows = json.loads(run("rank", "two", "--json", text=text).stdout)
    assert sorted(row["index"] for row in rows) == [0, 1]
    assert rows[0]["document"] == {"text": "one\u2028two"}


def test_what_is_not_utf8_is_told(run, tmp_path):
    (tmp_path / "docs.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(errors.InvalidRequest, match=r"docs\.txt is not UTF-8 text"):
        run("rank", "a", str(tmp_path / "docs.txt"))


def test_a_file_is_read(run, tmp_path):
    (tmp_path / "docs.txt").write_text("one\ntwo\n")
    output = run("rank", "two", str(tmp_path / "docs.txt"), "--json").stdout
    assert [row["index"] for row in json.loads(output)] == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        (("rank", "a", "/nowhere/docs.txt"), "", "cannot be read: No such file"),
        (("rank", "a", "/"), "", "cannot be read: Is a directory"),
        (("rank", "a"), 'a\n\n{"title": "b"}\n', "line 3: .* rank_fields"),
        (("rank", "a"), "\n\n", "holds no documents"),
        (("rank", "a", "--method", "bets"), "a\n", "unknown method 'bets'"),
        (("rank", " "), "a\n", "query must not be blank"),
        (("rank", "a", "--top-n", "0"), "a\n", "top_n must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_error(run, arguments, text, expected):
    with pytest.raises(errors.RerankerError, match=expected):
        run(*arguments, text=text)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfone\r\ntwo\r\n",
        b'\xef\xbb\xbf{"text": "one"}\r\n\r\ntwo',
        b'["one", {"text": "two"}]',
        b'[\r\n  "one",\r\n  "two"\r\n]\r\n',
    ],
)
def test_files_of_other_programs_are_read(run, content):
    rows = json.loads(run("rank", "two", "--json", text=content).stdout)
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[1]["document"] in ("one", {"text": "one"})


def test_fields_may_be_named_with_commas(run):
    text = '{"title": "a way", "body": "to learn"}\n'
    fields = ("--rank-fields", "title,body")
    assert json.loads(run("rank", "learning", "--json", *fields, text=text).stdout)


def test_a_lone_surrogate_is_printed_as_an_escape(run):
    text = '{"text": "a \\ud800"}\n'
    assert json.loads(run("rank", "a", "--json", text=text).stdout)[0]["document"] == {
        "text": "a \ud800"
    }


def test_a_misspelt_variable_is_an_error_of_every_command(run, monkeypatch):
    monkeypatch.setenv("RERANKER_OFLINE", "1")
    with pytest.raises(errors.SettingsError, match="did you mean RERANKER_OFFLINE"):
        run("rank", "a")
