"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from support import readme

from reranker import Settings, settings
from reranker.pipeline import registry
from reranker_server import ServerSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    readme.config_files(folder)
    return folder


@pytest.fixture(scope="module")
def base(folder):
    with readme.server("--config", "reranker.toml", folder=folder) as base:
        yield base


COMMANDS = [pair for block in readme.blocks("console") for pair in block.commands]


@pytest.mark.parametrize(
    ("command", "shown"), COMMANDS, ids=[f"{at}-{c[:20]}" for at, (c, _) in enumerate(COMMANDS)]
)
def test_every_command_answers_as_shown(command, shown, base, folder):
    if command.startswith("make "):
        subprocess.run(
            ["make", "--dry-run", *command.split()[1:]], cwd=readme.ROOT, check=True, timeout=30
        )
    elif readme.is_start(command):
        assert "--config reranker.toml" in command  # the very command that the fixture runs
    else:
        assert shown.strip(), "the README shows no answer; run tests/support/readme.py"
        real = readme.run(command, base, folder)
        assert readme.agree(shown, real), f"shown:\n{shown}\nreal:\n{real}"


@pytest.mark.parametrize("block", readme.blocks("python"), ids=lambda block: block.text[:30])
def test_every_python_block_runs(block, capsys, monkeypatch):
    # What a block registers goes with it.
    for name in registry.names():  # imported once, they register once
        registry.get(name)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    exec(compile(block.text, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("block", readme.blocks("toml"), ids=lambda block: block.text[:20])
def test_every_config_is_accepted(block, tmp_path):
    if not block.text.startswith("# "):
        assert tomllib.loads(block.text)["project"]["entry-points"]["reranker.methods"]
        return
    (tmp_path / "file.toml").write_text(block.text)
    config = settings.read_config(tmp_path / "file.toml")
    settings.check_known({"engine": Settings, "server": ServerSettings}, config, {})
    assert settings.resolve(Settings, "engine", config, {}, {}).value.offline
    settings.resolve(ServerSettings, "server", config, {}, {})


def test_the_example_method_is_the_one_that_is_packaged():
    shown = next(b.text for b in readme.blocks("python") if "keywords" in b.text)
    file = readme.ROOT / "tests/packaging/example_method/reranker_keywords.py"
    assert shown.strip() in file.read_text()


def test_the_table_of_the_request_lists_every_field():
    from reranker_server.v3.schemas import RerankBody

    text = readme.README.read_text()
    assert all(f"| `{name}` |" in text for name in RerankBody.model_fields)


def test_the_tables_of_settings_are_those_of_the_code():
    text = readme.README.read_text()
    assert readme.fill_tables(text) == text


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", readme.README.read_text()):
        assert (readme.ROOT / target).exists(), target
