import json

import numpy as np
import pytest

from reranker import SettingsError, TokenVectors
from reranker_methods.features.token_statistics import (
    UNIFORM,
    TokenStatistics,
    load_token_statistics,
    save_token_statistics,
)
from reranker_methods.profile import FOLDER, NOT_USED, UNCALIBRATED, file_name, load, profile_for

SHIPPED = sorted(FOLDER.glob("*.json"))
KNOWN = {"cosine", "attention", "subspace", "lexical", "feedback", "cross_encoder"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_load_and_name_only_features_that_exist(path):
    profile = load(path)

    assert set(profile.fusion.terms) <= KNOWN
    assert ("cross_encoder" in profile.fusion.feature_names) == ("cross-encoder" in path.stem)
    if profile.bi_encoder:
        assert path.name == file_name(profile.bi_encoder, profile.cross_encoder)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_let_no_document_depend_on_its_neighbours(path):
    assert "feedback" not in load(path).fusion.feature_names


def test_everything_shipped_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


@pytest.mark.parametrize("cross", [None, "somebody/else"])
def test_an_unknown_pair_gets_the_default_and_says_so(cross):
    profile = profile_for("some/model", cross)

    assert profile.token_statistics is UNIFORM
    assert profile.warnings == (UNCALIBRATED,)
    assert ("cross_encoder" in profile.fusion.feature_names) == (cross is not None)


def test_a_known_bi_encoder_keeps_its_statistics_beside_an_unknown_cross_encoder():
    profile = profile_for("all-MiniLM-L6-v2", "somebody/else")

    assert profile.token_statistics is profile_for("all-MiniLM-L6-v2", None).token_statistics
    assert profile.token_statistics.idf is not None
    assert profile.warnings == (UNCALIBRATED,)


@pytest.mark.parametrize("bi", ["all-MiniLM-L6-v2", "bge-m3", "some/model"])
def test_an_unknown_cross_encoder_shares_evenly_with_the_bi_encoders_own_terms(bi):
    alone, pair = profile_for(bi, None).fusion.terms, profile_for(bi, "somebody/else").fusion.terms

    assert set(pair) == {*alone, "cross_encoder"}
    assert pair["cross_encoder"].weight == 0.5
    for name, term in alone.items():
        assert pair[name].weight == pytest.approx(term.weight / 2)
        assert (pair[name].mean, pair[name].deviation) == (term.mean, term.deviation)


def test_bge_m3_uses_its_three_heads_and_is_not_called_calibrated():
    profile = profile_for("bge-m3", None)

    assert set(profile.fusion.feature_names) == {"cosine", "attention", "lexical"}
    assert profile.warnings == (UNCALIBRATED,)


def test_the_embedded_pair_is_calibrated():
    assert profile_for("all-MiniLM-L6-v2", None).warnings == ()
    assert profile_for("all-MiniLM-L6-v2", "minilm-l6-cross-encoder").warnings == ()


def test_a_folder_with_the_name_of_a_known_model_is_not_that_model():
    assert profile_for("/home/me/all-MiniLM-L6-v2", None).warnings == (UNCALIBRATED,)


@pytest.mark.parametrize(
    "change",
    [
        {"features": {"cosine": {"mean": 0, "deviation": 0, "weight": 1}}},
        {"features": {"cosine": {"mean": 0, "deviation": 1, "weight": -1}}},
        {"features": {"cosine": {"mean": 0}}},
        {"features": ["cosine"]},
        {"calibration": {"slope": -1, "intercept": 0}},
        {"bank": "missing.npz"},
    ],
)
def test_a_bad_profile_is_refused_without_showing_its_path(tmp_path, change):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(json.loads((FOLDER / "default.json").read_text()) | change))

    with pytest.raises(SettingsError) as caught:
        load(path)

    assert str(path) not in caught.value.message
    assert str(path) in (caught.value.detail or "")


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json"])
def test_a_file_that_is_no_profile_is_refused(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)

    with pytest.raises(SettingsError):
        load(path)


def test_token_statistics_survive_being_written_and_read(tmp_path):
    statistics = TokenStatistics(np.array([0.5, 2.0], np.float32), np.eye(3, dtype=np.float32) / 4)

    save_token_statistics(statistics, tmp_path / "bank.npz")
    again = load_token_statistics(tmp_path / "bank.npz")

    assert again.idf == pytest.approx(statistics.idf, rel=1e-3)
    assert again.second_moment == pytest.approx(statistics.second_moment, rel=1e-3)


def test_query_weights_rise_with_rarity_and_unseen_tokens_are_the_rarest():
    statistics = TokenStatistics(np.array([0.0, 1.0, 4.0], np.float32))
    query = TokenVectors(np.eye(4, dtype=np.float32), np.array([0, 1, 2, 99]), np.zeros((4, 2)))

    weights = statistics.query_weights(query)

    assert (np.diff(weights) >= 0).all()
    assert weights[0] == 0
    assert weights[3] == weights[2] > weights[1]


def test_a_models_own_lexical_weights_come_first():
    own = np.array([0.3, -0.1], np.float32)
    query = TokenVectors(np.eye(2, dtype=np.float32), np.array([0, 1]), np.zeros((2, 2)), own)

    assert TokenStatistics(np.ones(5, np.float32)).query_weights(query) == pytest.approx([0.3, 0.0])


def test_an_own_profile_goes_before_the_shipped_one_of_its_pair_only(tmp_path):
    data = json.loads((FOLDER / "default.json").read_text())
    data |= {"bi_encoder": "ours", "cross_encoder": None, "fitted": {"on": "our data"}}
    (tmp_path / "own.json").write_text(json.dumps(data))
    own = str(tmp_path / "own.json")
    assert profile_for("ours", None, own).fitted == {"on": "our data"}
    replaced = profile_for("other", None, own)
    assert replaced.fusion == profile_for("other", None).fusion
    assert replaced.warnings[0] == NOT_USED
    with pytest.raises(SettingsError):
        profile_for("ours", None, str(tmp_path / "absent.json"))
