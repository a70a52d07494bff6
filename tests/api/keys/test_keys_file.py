"""The keys file: what it may hold, who it lets in, and that a change is noticed."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from reranker.errors import SettingsError
from reranker_server.access import keys as keys_module
from reranker_server.access.keys import KeyFile, TokenBudget, parse_budget, parse_rate, read_entries

V3 = "/api/v3/inference/reranker"
BODY = {"model": "bi", "query": "a b", "documents": ["a", "c"]}


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(keys_module, "CHECK_SECONDS", 0.0)
    path = tmp_path / "keys.toml"
    path.write_text(
        f'[all]\nsha256 = "{sha256("k-all")}"\n'
        f'[fast]\nsha256 = "{sha256("k-fast").upper()}"\nmethods = ["fast"]\n'
        f'[one]\nsha256 = "{sha256("k-one")}"\nmodels = ["bi"]\n'
    )
    return path


@pytest.fixture
def client(start, file):
    return start(keys_file=file, api_keys=("plain",))


@pytest.mark.parametrize("key", ["k-all", "k-fast", "k-one", "plain"])
def test_a_known_key_is_let_in(client, key):
    assert client.post(V3, json=BODY, headers=bearer(key)).status_code == 200


@pytest.mark.parametrize("key", ["k-none", "", "all", sha256("k-all")])
def test_any_other_is_401(client, key):
    answer = client.post(V3, json=BODY, headers=bearer(key))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["type"] == "authentication_error"


def test_a_method_or_model_that_the_key_may_not_use_is_403(client):
    for key, changes, param in [
        ("k-fast", {"method": "best"}, "method"),
        ("k-one", {"method": "optimal", "model_cross": "cross"}, "model_cross"),
        ("k-one", {"method": "best", "model_cross": "cross"}, "model_cross"),
    ]:
        answer = client.post(V3, json=BODY | changes, headers=bearer(key))
        assert answer.status_code == 403
        assert answer.json()["error"]["type"] == "permission_error"
        assert answer.json()["error"]["param"] == param
    # `fast` runs no cross-encoder, whatever is named.
    unused = client.post(V3, json=BODY | {"model_cross": "cross"}, headers=bearer("k-one"))
    assert unused.status_code == 200


def test_a_change_is_noticed_and_a_broken_file_changes_nothing(client, file, caplog):
    before = file.read_text()
    file.write_text(before.replace(sha256("k-all"), sha256("k-new")))
    assert client.post(V3, json=BODY, headers=bearer("k-new")).status_code == 200
    assert client.post(V3, json=BODY, headers=bearer("k-all")).status_code == 401
    for broken in ("[", before.replace("models", "mdels"), before + '[x]\nsha256 = "1"\n'):
        file.write_text(broken)
        assert client.post(V3, json=BODY, headers=bearer("k-new")).status_code == 200
        assert "stay in force" in caplog.text
        caplog.clear()
    file.unlink()
    assert client.post(V3, json=BODY, headers=bearer("k-new")).status_code == 200
    file.write_text(before)
    assert client.post(V3, json=BODY, headers=bearer("k-new")).status_code == 401


def test_a_file_without_keys_lets_nobody_in(start, tmp_path):
    (tmp_path / "keys.toml").write_text("")
    client = start(keys_file=tmp_path / "keys.toml")
    assert client.post(V3, json=BODY).status_code == 401


def test_json_says_the_same(tmp_path, file):
    entries = read_entries(file)
    other = tmp_path / "keys.json"
    other.write_text(
        json.dumps({name: entry.model_dump(mode="json") for name, entry in entries.items()})
    )
    assert read_entries(other) == entries


def test_a_change_within_the_clock_tick_is_noticed_by_its_size_or_inode(file, tmp_path):
    known = KeyFile(file)
    stamp = file.stat().st_mtime_ns
    replaced = tmp_path / "new"
    replaced.write_text(file.read_text().replace(sha256("k-all"), sha256("k-two")))
    os.utime(replaced, ns=(stamp, stamp))
    replaced.replace(file)
    assert bytes.fromhex(sha256("k-two")) in known.callers()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\n", "a.sha256: Field required"),
        ('[a]\nsha256 = "12"\n', "a.sha256"),
        (f'[a]\nsha256 = "{"0" * 64}"\nrate = "6 apples"\n', "600/minute"),
        (f'[a]\nsha256 = "{"0" * 64}"\nbudget = "5/week"\n', "number of tokens"),
        (f'[a]\nsha256 = "{"0" * 64}"\nbudget = -5\n', "number of tokens"),
        (f'[a]\nsha256 = "{"0" * 64}"\n[b]\nsha256 = "{"0" * 64}"\n', "same sha256"),
        ('["../a"]\nsha256 = "0"\n', "../a"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_stops_the_start_and_says_where(text, said, tmp_path):
    (tmp_path / "keys.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"keys\.toml|same") as caught:
        KeyFile(tmp_path / "keys.toml")
    assert said in str(caught.value)


def test_rates_and_budgets_are_read_as_written():
    assert [str(rate) for rate in parse_rate("600/minute; 5 per second")] == [
        "600 per 1 minute",
        "5 per 1 second",
    ]
    assert parse_budget("5_000_000/month") == TokenBudget(5_000_000, "month")
    assert parse_budget(70) == TokenBudget(70)
    assert str(parse_budget("5/day")) == "5/day"
