"""What was built is what works: the wheel, in an environment of its own, beside a user's files."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "example_method"
EXAMPLE_FAMILY = Path(__file__).parent / "example_family"
EXAMPLE_DIALECT = Path(__file__).parent / "example_dialect"
WEIGHTS_LIMIT = 25 * 2**20


def build(project: Path, to: Path) -> Path:
    """Build a wheel with the installed hatchling."""
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, *command, "--wheel-dir", to, project], check=True, cwd=to, timeout=200
    )
    (wheel,) = to.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run Python where the wheel is installed; its dependencies are this environment's own.

    They are put on the path's end by a .pth file, which does not read this environment's .pth
    files in turn: the checkout installed here for development stays out of sight.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    bin_python = home / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        bin_python,
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*install, wheel], check=True, timeout=200)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    folder = tmp_path_factory.mktemp("users_project")
    for name in ("server.py", "methods.py", "bench.py", "tests.py"):
        (folder / name).write_text("raise RuntimeError('this is the user\\'s own file')\n")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [bin_python, *arguments], cwd=folder, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.install = lambda path: subprocess.run([*install, path], check=True, timeout=200)  # type: ignore[attr-defined]
    return run


def test_the_wheel_holds_the_five_packages_and_their_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if not name.startswith("reranker-0")}
    assert tops == {
        "reranker",
        "reranker_methods",
        "reranker_server",
        "reranker_cli",
        "reranker_bench",
    }
    overlays = [
        info for info in zipfile.ZipFile(wheel).infolist() if "overlay.safetensors" in info.filename
    ]
    assert overlays
    assert sum(info.file_size for info in overlays) <= WEIGHTS_LIMIT
    for part in ("reranker/hub/catalog.toml", "reranker/py.typed", "LICENSE"):
        assert any(name.endswith(part) for name in names), part


def test_installed_it_is_not_the_checkout(python):
    where = python("-c", "import reranker; print(reranker.__file__)").strip()
    assert "environment" in where


def test_installed_it_ranks_with_every_method_from_a_folder_with_files_of_like_names(python):
    script = """
import json, sys
sys.path.insert(0, "")
from reranker import Reranker
import reranker_server, reranker_bench
with Reranker() as reranker:
    documents = ["Bread is baked.", "Machine learning learns from data.", "It rains."]
    best = {m: reranker.rank("machine learning", documents, method=m)[0].index
            for m in ("fast", "standard", "optimal", "best")}
print(json.dumps(best))
"""
    assert json.loads(python("-c", script)) == dict.fromkeys(
        ("fast", "standard", "optimal", "best"), 1
    )


def test_the_command_line_lists_the_four_methods_without_the_users_files(python):
    listed = json.loads(python("-m", "reranker_cli.main", "methods", "--json"))
    assert {"best", "fast", "optimal", "standard"} <= {entry["method"] for entry in listed}


def test_a_method_of_another_wheel_is_found_by_name(python, tmp_path):
    python.install(build(EXAMPLE, tmp_path))
    script = """
from reranker import Reranker
from reranker.pipeline import registry
assert "keywords" in registry.names()
ranking = Reranker().rank("red fox", ["a blue fox", "the red fox", "a dog"], method="keywords")
print([(r.index, r.score) for r in ranking])
"""
    assert python("-c", script).strip() == "[(1, 1.0), (0, 0.5), (2, 0.0)]"


def test_a_dialect_of_another_wheel_is_served_on_its_own_route_and_the_shared_ones(
    python, tmp_path
):
    python.install(build(EXAMPLE_DIALECT, tmp_path))
    script = """
from starlette.testclient import TestClient
from reranker import Reranker
from reranker_server import ServerSettings, create_app
app = create_app(Reranker(), ServerSettings())
with TestClient(app) as client:
    assert app.state.handler.ready.wait(120)
    body = {"query": "machine learning", "lines": ["bread", "machine learning", "rain"]}
    for path in ("/simple/rerank", "/v1/rerank"):
        response = client.post(path, json=body)
        assert response.status_code == 200, response.text
        assert response.json()[0] == "machine learning", response.text
        assert sorted(response.json()) == sorted(body["lines"])
    assert client.post("/simple/rerank", json={"query": "a"}).status_code == 400
    assert "SimpleRequest" in client.get("/openapi.json").json()["components"]["schemas"]
    assert client.post("/v1/rerank", json={"query": "a", "documents": ["a"]}).json()["results"]
"""
    python("-c", script)


def test_a_model_family_of_another_wheel_serves_its_checkpoints(python, tmp_path):
    python.install(build(EXAMPLE_FAMILY, tmp_path))
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "overlap", "weight": 2.0}')
    script = f"""
from starlette.testclient import TestClient
from reranker import Reranker, Settings
from reranker_server import ServerSettings, create_app
settings = Settings(cross_encoders={{"ours": {str(folder)!r}}}, model_cross="ours", offline=True)
app = create_app(Reranker(settings), ServerSettings())
with TestClient(app) as client:
    assert app.state.handler.ready.wait(120)
    documents = ["a blue fox", "the red fox", "a dog"]
    body = {{"model": "ours", "query": "red fox", "documents": documents, "raw_scores": True}}
    response = client.post("/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    found = [(each["index"], each["relevance_score"]) for each in response.json()["results"]]
    assert found == [(1, 4.0), (0, 2.0), (2, 0.0)], found
    assert response.json()["usage"]["total_tokens"] == 2 + 8
    shown = client.get("/v1/models/ours").json()
    assert shown["family"] == "overlap" and shown["state"] == "ready", shown
"""
    python("-c", script)
