"""What Prometheus reads, and the dashboard that shows it."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from prometheus_client.parser import text_string_to_metric_families

V3 = "/api/v3/inference/reranker"
DASHBOARD = json.loads(
    (files("reranker_server") / "static" / "grafana-dashboard.json").read_text("utf-8")
)


def read(client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def test_requests_are_counted_by_method_dialect_and_status(client, ask):
    ask()
    ask(method="best")
    ask(method="secret text")
    ask(query="")
    client.post(V3, content=b"{")
    found = read(client)

    def count(method, status):
        return value(
            found, "reranker_requests_total", method=method, dialect="v3", status=str(status)
        )

    assert count("fast", 200) == count("best", 200) == 1
    assert count("none", 422) == 2  # a caller cannot make up labels
    assert count("none", 400) == 1
    assert "secret" not in client.get("/metrics").text


def test_times_tokens_and_cuts_are_measured(client, ask):
    ask(method="optimal", model_cross="cross")
    ask(documents=["one two three", "four"], max_tokens_per_doc=2)
    found = read(client)
    assert value(found, "reranker_request_seconds_count", method="optimal", dialect="v3") == 1
    assert value(found, "reranker_queue_seconds_count") == 2
    for stage in ("bi_encoder", "cross_encoder"):
        assert value(found, "reranker_stage_seconds_count", method="optimal", stage=stage) == 1
    assert value(found, "reranker_documents_total", method="fast") == 2
    assert value(found, "reranker_truncations_total", method="fast") == 1
    assert value(found, "reranker_tokens_total", method="fast") > 0


def test_the_state_of_the_server_is_shown(client):
    found = read(client)
    assert value(found, "reranker_ready") == 1
    for name in ("working_requests", "queued_requests", "queued_tokens", "buffered_bytes"):
        assert ("reranker_" + name, ()) in found
    assert value(found, "process_resident_memory_bytes") > 1e6


def test_metrics_may_be_kept_behind_a_key(start):
    client = start(api_keys=("k",), metrics_public=False)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"X-API-Key": "k"}).status_code == 200
    assert start(api_keys=("k",)).get("/metrics").status_code == 200


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_the_dashboard_has_what_grafana_wants():
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    places = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & places
        places |= cells
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__all"} <= variables


@pytest.mark.parametrize("expression", expressions(), ids=range(len(expressions())))
def test_the_dashboard_asks_only_for_metrics_and_labels_that_there_are(expression, real_metrics):
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")
    for name in re.findall(r"\b(?:reranker|process)_\w+", expression):
        assert name in real_metrics
    for group in re.findall(r"by \(([^)]*)\)", expression):
        wanted = {label.strip() for label in group.split(",")}
        named = re.findall(r"\breranker_\w+", expression)
        assert wanted <= set().union(*(real_metrics[name] for name in named))
