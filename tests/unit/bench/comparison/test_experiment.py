import json
from pathlib import Path

import ir_measures
import pytest
from support.comparison import CORPUS, QRELS, Failing, Hopeless, RecordingObserver
from support.fakes import FakeModels

from reranker.engine import Reranker
from reranker.settings import Settings
from reranker_bench.comparison.plan import Plan, PlanError, Shard
from reranker_bench.comparison.runner import models_of
from reranker_bench.data.beir import DatasetError
from reranker_bench.evaluation.measures import MEASURES


def test_a_whole_comparison_writes_everything(page, compare, tmp_path: Path) -> None:
    report, interrupted = compare()
    assert report.whole
    assert not interrupted
    out = tmp_path / "out"
    data = json.loads((out / "report.json").read_text("utf-8"))
    assert data == json.loads(json.dumps(report.data))
    assert data["status"] == "whole"
    assert set(data["datasets"]["tiny"]) == {"fast", "standard", "optimal", "best"}
    assert data["models"]["bi-encoder"] == {"id": "fake-bi", "digest": "digest-of-fake-bi"}
    assert data["ceilings"]["tiny"]["nDCG@10"] == 1.0
    assert {p.name for p in out.glob("*.png")} == {"accuracy_latency.png", "gains.png"}
    page = (out / "report.html").read_text("utf-8")
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<svg" in page


def test_metrics_agree_with_ir_measures_on_the_written_runs(compare, tmp_path: Path) -> None:
    report, _ = compare()
    for method in report.methods:
        run = list(ir_measures.read_trec_run(str(tmp_path / f"out/runs/tiny.{method}.run")))
        measures = [ir_measures.parse_measure(name) for name in MEASURES]
        alone = ir_measures.calc_aggregate(measures, QRELS, run)
        for name, measure in zip(MEASURES, measures, strict=True):
            found = report.data["datasets"]["tiny"][method][name]
            assert found == pytest.approx(alone[measure], abs=1e-6)


def test_runs_fall_strictly_with_the_rank(compare, tmp_path: Path) -> None:
    compare()
    lines = (tmp_path / "out/runs/tiny.fast.run").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if line.startswith("q1 ")]
    assert [int(row[3]) for row in rows] == [1, 2, 3, 4]
    assert [int(row[4]) for row in rows] == [4, 3, 2, 1]
    assert {row[2] for row in rows} == set(CORPUS)


def test_methods_take_turns_and_latency_is_measured_apart(compare) -> None:
    heard = RecordingObserver()
    report, _ = compare(observer=heard)
    assert heard.phases == [("ranking", 16, 0), ("warm latency", 8, 0), ("cold latency", 8, 0)]
    firsts = [task.method for task, _ in heard.steps[:16:4]]
    assert firsts == ["fast", "standard", "optimal", "best"]
    latency = report.data["datasets"]["tiny"]["best"]["latency"]
    assert set(latency) == {"cold", "warm"}
    assert latency["cold"]["queries"] == 2
    assert latency["cold"]["documents_per_second"] > 0


def test_a_failure_is_reported_and_the_others_go_on(compare) -> None:
    report, _ = compare(engine=Failing)
    assert not report.whole
    assert report.data["failures"] == [
        {
            "dataset": "tiny",
            "query": "q2",
            "method": "standard",
            "error": "InferenceError: the model did not like it",
        }
    ]
    values = report.data["datasets"]["tiny"]
    assert values["standard"]["queries"] == values["fast"]["queries"] == 4
    assert values["standard"]["failed"] == 1
    assert values["standard"]["P@1"] == values["optimal"]["P@1"] - 1 / 4


def test_a_method_that_never_works_does_not_stop_the_others(page, compare) -> None:
    report, interrupted = compare(engine=Hopeless)
    assert not interrupted
    assert len(report.data["failures"]) == 4
    values = report.data["datasets"]["tiny"]
    assert values["standard"]["AP"] == 0.0
    assert values["standard"]["latency"] == {}
    assert values["fast"]["latency"]["cold"]["queries"] == 2


def test_a_failed_ranking_is_tried_again_on_resume(compare) -> None:
    compare(engine=Failing)
    heard = RecordingObserver()
    report, _ = compare(resume=True, observer=heard)
    assert report.whole
    assert heard.phases[0] == ("ranking", 16, 15)


def test_an_interruption_keeps_what_is_done(page, compare, tmp_path: Path) -> None:
    report, interrupted = compare(observer=RecordingObserver(interrupt_after=10))
    assert interrupted
    assert not report.whole
    assert report.data["collections"]["tiny"]["evaluated"] == 2
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert "2 of 4 queries are done" in page


def test_a_resumed_comparison_equals_one_in_one_go(compare, tmp_path: Path) -> None:
    whole, _ = compare(output=tmp_path / "whole")
    compare(observer=RecordingObserver(interrupt_after=10))
    heard = RecordingObserver()
    resumed, interrupted = compare(resume=True, observer=heard)
    assert not interrupted
    assert heard.phases[0] == ("ranking", 16, 10)
    assert _runs(tmp_path / "out") == _runs(tmp_path / "whole")
    assert _quality(resumed) == _quality(whole)


def test_an_interruption_before_the_first_query_still_says_so(
    page, compare, tmp_path: Path
) -> None:
    report, interrupted = compare(observer=RecordingObserver(interrupt_after=1))
    assert interrupted
    assert report.data["datasets"] == {}
    assert "Nothing to report yet" in (tmp_path / "out/report.html").read_text("utf-8")


def test_a_line_cut_by_a_crash_is_dropped(compare, tmp_path: Path) -> None:
    compare()
    records = tmp_path / "out/records.jsonl"
    records.write_bytes(records.read_bytes()[:-40])
    heard = RecordingObserver()
    report, _ = compare(resume=True, observer=heard)
    assert report.whole
    assert heard.phases[0] == ("ranking", 16, 15)


def test_a_folder_in_use_is_not_overwritten(compare) -> None:
    compare()
    with pytest.raises(PlanError, match=r"holds a comparison already: add --resume"):
        compare()
    with pytest.raises(PlanError, match="another comparison; it differs in: stage1_top_k"):
        compare(resume=True, stage1_top_k=2)


def test_a_folder_is_overwritten_when_told(compare) -> None:
    compare()
    heard = RecordingObserver()
    report, _ = compare(overwrite=True, stage1_top_k=2, observer=heard)
    assert report.whole
    assert heard.phases[0] == ("ranking", 16, 0)


def test_other_weights_are_not_mixed_in(compare, tmp_path: Path) -> None:
    compare(observer=RecordingObserver(interrupt_after=3))
    models = tmp_path / "out/models.json"
    models.write_text(models.read_text("utf-8").replace("digest-of", "other"), "utf-8")
    with pytest.raises(PlanError, match="begun with other weights"):
        compare(resume=True)


def test_shards_merge_to_the_whole(compare, tmp_path: Path) -> None:
    whole, _ = compare(output=tmp_path / "whole")
    parts = tuple(tmp_path / f"part{number}" for number in (1, 2, 3))
    for number, part in enumerate(parts, start=1):
        compare(output=part, shard=Shard(number, 3))
    merged, _ = compare(merge=parts[::-1])
    assert merged.whole
    assert _runs(tmp_path / "out") == _runs(tmp_path / "whole")
    assert _quality(merged) == _quality(whole)
    assert merged.data["comparisons"] == whole.data["comparisons"]
    latency = merged.data["datasets"]["tiny"]["fast"]["latency"]
    assert latency["cold"]["queries"] == 2


def test_shards_that_do_not_fit_are_refused(compare, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    compare(output=one, shard=Shard(1, 2))
    compare(output=other, shard=Shard(2, 2), stage1_top_k=2)
    with pytest.raises(PlanError, match="shard 2/2 is missing"):
        compare(merge=(one,))
    with pytest.raises(PlanError, match="shard 2/2 is missing"):
        compare(merge=(one, one))
    with pytest.raises(PlanError, match="part of another comparison"):
        compare(merge=(one, other))
    with pytest.raises(PlanError, match="holds no comparison"):
        compare(merge=(one, tmp_path / "nowhere"))


def test_an_unfinished_shard_makes_a_partial_report(compare, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    compare(output=one, shard=Shard(1, 2))
    compare(output=other, shard=Shard(2, 2), observer=RecordingObserver(interrupt_after=5))
    report, _ = compare(merge=(one, other))
    assert not report.whole
    assert report.data["collections"]["tiny"]["evaluated"] == 3


def test_all_wrong_data_sets_are_named_at_once(compare, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: no such.*\n.*else: no such"):
        compare(datasets=(str(dataset), str(tmp_path / "nowhere"), str(tmp_path / "else")))
    with pytest.raises(DatasetError, match="two data sets are named 'tiny'"):
        compare(datasets=(str(dataset), str(dataset)))


def test_none_leaves_the_cross_encoder_out_of_best_only(compare) -> None:
    report, _ = compare(model_cross="none", methods=("fast", "best"))
    assert set(report.data["models"]) == {"bi-encoder"}
    assert report.data["settings"]["model_cross"] is None


def test_an_own_profile_is_part_of_what_ranked(tmp_path: Path) -> None:
    profile = tmp_path / "mine.json"
    profile.write_text("{}", "utf-8")
    engine = Reranker(Settings(profile=str(profile)), models=FakeModels())
    found = models_of(engine, Plan(("fast",), "any", None))
    assert found["profile"]["id"] == "mine.json"
    assert len(found["profile"]["digest"]) == 64


def test_several_data_sets_are_averaged(compare, dataset: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl"
    row = {"query": "winter ferry", "documents": list(CORPUS.values()), "relevant": [0]}
    plain.write_text(json.dumps(row), "utf-8")
    report, _ = compare(datasets=(str(dataset), str(plain)), methods=("fast", "standard"))
    values = report.data["datasets"]
    mean = (values["tiny"]["fast"]["AP"] + values["plain"]["fast"]["AP"]) / 2
    assert report.data["mean"]["fast"]["AP"] == pytest.approx(mean)
    assert list(report.data["advice"]) == ["all data sets", "tiny", "plain"]


def test_notes_say_where_stage_one_drops_nothing(compare) -> None:
    assert "`--stage1-top-k 1`" in compare()[0].data["notes"][0]


def _runs(folder: Path) -> dict[str, set[str]]:
    return {p.name: set(p.read_text("utf-8").splitlines()) for p in folder.glob("runs/*.run")}


def _quality(report) -> dict:
    return {
        method: {name: values[name] for name in MEASURES}
        for method, values in report.data["datasets"]["tiny"].items()
    }
