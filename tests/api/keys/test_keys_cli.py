"""`reranker keys`: what it prints opens the server, what it revokes does not."""

from __future__ import annotations

import json
import stat

import pytest
from typer.testing import CliRunner

from reranker.errors import InvalidRequest, SettingsError
from reranker_cli.commands.keys import app
from reranker_server.access.auth import ApiKeys
from reranker_server.access.keys import read_entries
from reranker_server.errors import Unauthorized


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(params=["keys.toml", "keys.json"])
def file(request, tmp_path):
    return tmp_path / request.param


def check(file, key: str) -> str:
    return ApiKeys((), file).authenticate({"authorization": f"Bearer {key}"}).name


def test_a_new_key_opens_and_a_revoked_one_does_not(file):
    first = run("new", "first", "--file", file).strip()
    second = run("new", "second", "--rate", "6/minute", "--file", file).strip()
    assert (check(file, first), check(file, second)) == ("first", "second")
    run("revoke", "first", "--file", file)
    assert check(file, second) == "second"
    with pytest.raises(Unauthorized):
        check(file, first)


def test_the_file_holds_limits_and_no_key_and_is_private(file):
    key = run(
        *("new", "team", "--rate", "6/minute", "--budget", "500/day"),
        *("--model", "a", "--model", "b", "--method", "fast", "--file", file),
    ).strip()
    assert key.startswith("rr-")
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = read_entries(file)["team"]
    assert (entry.rate, entry.budget) == ("6/minute", "500/day")
    assert (entry.models, entry.methods) == ({"a", "b"}, {"fast"})


def test_a_method_that_is_not_installed_is_pointed_out(file):
    arguments = ["new", "team", "--method", "bets", "--method", "fast", "--file", str(file)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.stderr.splitlines()[0] == "reranker: warning: no method 'bets' is installed here"
    assert "'fast'" not in result.stderr
    assert read_entries(file)["team"].methods == {"bets", "fast"}


def test_comments_in_the_file_stay(tmp_path):
    file = tmp_path / "keys.toml"
    run("new", "first", "--file", file)
    file.write_text("# ours\n" + file.read_text())
    run("new", "second", "--file", file)
    run("revoke", "first", "--file", file)
    assert file.read_text().startswith("# ours\n")
    assert list(read_entries(file)) == ["second"]


def test_list_shows_limits_and_no_digest_in_full(file):
    run("new", "team", "--rate", "6/minute", "--file", file)
    (row,) = json.loads(run("list", "--json", "--file", file))
    assert (row["name"], row["rate"], row["budget"]) == ("team", "6/minute", None)
    assert len(row["sha256"]) < 64
    assert "team" in run("list", "--file", file)


@pytest.mark.parametrize(
    "arguments",
    [
        ("new", "team"),
        ("new", "a/b"),
        ("new", "other", "--rate", "6"),
        ("new", "other", "--budget", "lots"),
        ("revoke", "other"),
    ],
)
def test_what_cannot_be_done_changes_nothing(arguments, file):
    run("new", "team", "--file", file)
    before = file.read_text()
    with pytest.raises(InvalidRequest):
        run(*arguments, "--file", file)
    assert file.read_text() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_file_of_the_settings_is_taken(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="--file"):
        run("list")
    monkeypatch.setenv("RERANKER_KEYS_FILE", str(tmp_path / "keys.toml"))
    run("new", "team")
    assert list(read_entries(tmp_path / "keys.toml")) == ["team"]


def test_the_commands_are_part_of_the_command_line(file):
    from reranker_cli.main import app as whole

    result = CliRunner().invoke(whole, ["keys", "new", "team", "--file", str(file)])
    assert result.exit_code == 0
    assert list(read_entries(file)) == ["team"]
