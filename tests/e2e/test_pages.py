"""What the README and the pages of `docs/` show is what happens."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib

import click
import pytest
import typer
from support import generated, pages

from lab.speed.__main__ import race
from reranker import Settings, settings
from reranker.pipeline import registry
from reranker_cli.main import app
from reranker_server import ServerSettings
from reranker_server.access.keys import read_entries
from reranker_server.v3.schemas import RerankBody

COMMANDS = [pair for block in pages.blocks("console") for pair in block.commands]
SHELL = [
    (line, block.page.name)
    for block in pages.blocks("sh")
    for line in block.text.replace("\\\n", "").splitlines()
    if line.split("#")[0].strip() and not block.text.startswith("curl")  # see test_transcripts
]
lab_speed = typer.Typer()
lab_speed.command()(race)
TYPER = {"reranker": app, "lab.speed": lab_speed}
each_page = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    pages.config_files(folder)
    return folder


@pytest.fixture(scope="module")
def base(folder):
    with pages.server("--config", "reranker.toml", folder=folder) as base:
        yield base


@pytest.mark.parametrize(
    ("command", "shown"), COMMANDS, ids=[f"{at}-{c[:20]}" for at, (c, _) in enumerate(COMMANDS)]
)
def test_every_command_responds_as_shown(command, shown, base, folder):
    if pages.is_start(command):
        _check_shell(command)
    else:
        assert shown.strip(), "the page shows no response; run make docs"
        real = pages.run(command, base, folder)
        assert pages.agree(shown, real), f"shown:\n{shown}\nreal:\n{real}"


@pytest.mark.parametrize(("line", "page"), SHELL, ids=[f"{p}-{c[:30]}" for c, p in SHELL])
def test_every_shell_command_would_be_accepted(line, page):
    _check_shell(line)


def _check_shell(line: str) -> None:
    """Parse a command as its program would, without running it."""
    words = shlex.split(line, comments=True)
    variables = {}
    while "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    sections = {"engine": Settings, "server": ServerSettings}
    settings.check_known(sections, settings.Config(), variables)
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=pages.ROOT, check=True, timeout=30)
    elif words[0].endswith("pip"):
        known = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
        extras = re.findall(r"\[(.+?)\]", line)
        pins = (pages.ROOT / "constraints.txt").read_text().split()
        assert all(word in pins for word in words if "==" in word)
        assert all(e in known["optional-dependencies"] for x in extras for e in x.split(","))
    elif words[:3] == ["python3", "-m", "venv"]:
        pass
    elif words[:2] == ["python", "-m"] and words[2] not in TYPER:
        assert list((pages.ROOT / "bench").glob(words[2].replace(".", "/") + ".py"))
    else:
        name, *arguments = words[2:] if words[0] == "python" else words
        group = typer.main.get_command(TYPER[name])
        while isinstance(group, click.Group):
            group = group.commands[arguments.pop(0)]
        group.make_context(name, arguments)  # raises where an option is unknown


@pytest.mark.parametrize("block", pages.blocks("python"), ids=lambda block: block.text[:30])
def test_every_python_block_runs(block, tmp_path, monkeypatch):
    if any(f"\n{block.text}" in part for part in generated.included(block.page)):
        return  # built, installed and used by tests/packaging
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    exec(compile(block.text, block.page.name, "exec"), {"__name__": "page"})


@pytest.mark.parametrize("block", pages.blocks("toml"), ids=lambda block: block.text[:20])
def test_every_config_is_accepted(block, tmp_path):
    file = tmp_path / "file.toml"
    file.write_text(block.text)
    if block.text.startswith("# keys.toml"):
        assert read_entries(file)
    elif not any(f"\n{block.text}" in part for part in generated.included(block.page)):
        config = settings.read_config(file)
        settings.check_known({"engine": Settings, "server": ServerSettings}, config, {})
        settings.resolve(Settings, "engine", config, {}, {})
        settings.resolve(ServerSettings, "server", config, {}, {})


@pytest.mark.parametrize("block", pages.blocks("json"), ids=lambda block: block.text[:20])
def test_every_json_block_is_json(block):
    for part in [block.text] if block.text.startswith(("{\n", "[")) else []:
        json.loads(part)


@each_page
def test_what_is_generated_is_up_to_date(page):
    text = page.read_text("utf-8")
    assert generated.fill(text) == text, "run make docs"


@each_page
def test_every_link_leads_somewhere(page):
    text = page.read_text("utf-8")
    for target, _, anchor in re.findall(r"\]\((?!http)([^)#]*)(#([^)]+))?\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            assert anchor in {_slug(head) for head in heads}, f"{target}#{anchor}"


def _slug(head: str) -> str:
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


def test_every_page_is_in_the_index():
    index = (pages.ROOT / "docs" / "index.md").read_text("utf-8")
    for page in pages.PAGES:
        assert page.name in ("README.md", "index.md") or f"]({page.name})" in index


def test_the_readme_is_short():
    assert len(pages.README.read_text("utf-8").splitlines()) <= 200


def test_a_page_lists_every_field_of_a_request():
    text = (pages.ROOT / "docs" / "api.md").read_text("utf-8")
    assert all(f"| `{name}` |" in text for name in RerankBody.model_fields)
