"""Tokenizing: frames, cuts, and that neither threads nor long texts change a token."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.texts import LONG, ODD, PLAIN
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from reranker.tokenization.tokenizer import TextTokenizer, pair_shares

NAMES = ["bert", "xlmr"]
Get = Callable[[str], TextTokenizer]
words = st.one_of(
    st.text("abcdefg", min_size=1, max_size=12),
    st.text("ab", min_size=80, max_size=140),  # around the length that WordPiece gives up at
    st.text(min_size=1, max_size=6),
    st.sampled_from(["paris", "learning,", "\u4f60\u597d", "\U0001f993", "-" * 30]),
)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def theirs(checkpoint: Callable[[str], Path], name: str) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(checkpoint(name))


def test_ids_equal_those_of_transformers(
    tokenizer: Get, theirs: PreTrainedTokenizerBase, name: str
) -> None:
    for text in [*PLAIN, *ODD, LONG, ""]:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert tokenizer(name)([text], 10_000)[0].ids == expected


def test_a_single_text_is_framed_as_transformers_frames_it(
    tokenizer: Get, theirs: PreTrainedTokenizerBase, name: str
) -> None:
    ours = tokenizer(name)
    for text in PLAIN:
        expected = theirs(text, return_token_type_ids=True)
        ids, types = ours.single.around(ours([text], 100)[0].ids)
        assert (ids, types) == (expected["input_ids"], expected["token_type_ids"])
    assert ours.single.size == theirs.num_special_tokens_to_add()


def test_a_pair_is_framed_as_transformers_frames_it(
    tokenizer: Get, theirs: PreTrainedTokenizerBase, name: str
) -> None:
    ours = tokenizer(name)
    for first in PLAIN:
        for second in PLAIN:
            expected = theirs(first, second, return_token_type_ids=True)
            ids, types = ours.pair.around(ours([first], 100)[0].ids, ours([second], 100)[0].ids)
            assert ids == expected["input_ids"]
            if "token_type_ids" in theirs.model_input_names:
                assert types == expected["token_type_ids"]
    assert ours.pair.size == theirs.num_special_tokens_to_add(pair=True)


def test_each_special_token_between_two_texts_keeps_its_own_type(
    theirs: PreTrainedTokenizerBase, name: str
) -> None:
    # As the embedded cross-encoder has it: the second [CLS] belongs to the document.
    start, end = theirs.cls_token, theirs.sep_token
    theirs.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 {start}:1 $B:1 {end}:1",
        special_tokens=[(start, theirs.cls_token_id), (end, theirs.sep_token_id)],
    )
    ours = TextTokenizer(theirs.backend_tokenizer)
    expected = theirs.backend_tokenizer.encode(PLAIN[0], PLAIN[1])
    parts = [cut.ids for cut in ours([PLAIN[0], PLAIN[1]], 100)]
    assert ours.pair.around(*parts) == (expected.ids, expected.type_ids)


def test_spans_point_at_the_characters_of_each_token(tokenizer: Get, name: str) -> None:
    text = "machine learning, na\u00efve \U0001f993 paris"
    tokens = tokenizer(name)([text], 100)[0]
    assert len(tokens.spans) == len(tokens.ids)
    covered = {i for start, end in tokens.spans for i in range(start, end)}
    assert {i for i, char in enumerate(text) if not char.isspace()} <= covered


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_cut_keeps_the_first_tokens_and_says_so(tokenizer: Get, name: str, limit: int) -> None:
    ours = tokenizer(name)
    whole = ours([LONG], 100_000)[0]
    cut = ours([LONG], limit)[0]
    assert (cut.ids, cut.spans) == (whole.ids[:limit], whole.spans[:limit])
    assert cut.truncated
    assert not whole.truncated


def test_a_text_that_just_fits_is_not_cut(tokenizer: Get, name: str) -> None:
    ours = tokenizer(name)
    size = len(ours([PLAIN[0]], 100)[0].ids)
    assert not ours([PLAIN[0]], size)[0].truncated
    assert ours([PLAIN[0]], size - 1)[0].truncated


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(words, min_size=1, max_size=40), times=st.integers(1, 60))
def test_reading_only_the_beginning_equals_reading_all_and_cutting(
    tokenizer: Get, parts: list[str], times: int
) -> None:
    text = " ".join(parts * times)
    for name in NAMES:
        ours = tokenizer(name)
        whole = Tokenizer.from_str(ours.definition).encode(text, add_special_tokens=False)
        for limit in (1, 5, 30):
            cut = ours([text], limit)[0]
            assert cut.ids == whole.ids[:limit]
            assert cut.truncated == (len(whole.ids) > limit)


def test_a_word_cut_where_reading_stops_does_not_change_the_tokens_before(
    tokenizer: Get,
) -> None:
    # 20 tokens, then a word of 300 letters, of which the first part lies within what is read.
    ours = tokenizer("bert")
    for fill in range(700, 1300, 17):
        text = "paris" + " " * fill + "z" * 300 + " paris" * 400
        whole = Tokenizer.from_str(ours.definition).encode(text, add_special_tokens=False)
        for limit in (1, 5, 20, 40):
            assert ours([text], limit)[0].ids == whole.ids[:limit], (fill, limit)


@pytest.mark.parametrize(
    "text",
    [
        "paris learning " * 70_000,
        "x" * 1_000_000,
        "\u4f60\u597d" * 500_000,
        " " * 999_990 + "the end",
        "\x00" * 1_000_000,
    ],
    ids=["words", "one word", "no spaces", "spaces", "control characters"],
)
def test_a_megabyte_is_read_in_little_time(tokenizer: Get, name: str, text: str) -> None:
    start = time.monotonic()
    tokens = tokenizer(name)([text], 512)[0]
    assert time.monotonic() - start < 10
    assert len(tokens.ids) <= 512


def test_threads_can_share_a_tokenizer(tokenizer: Get, name: str) -> None:
    ours = tokenizer(name)
    texts = [f"{text} {i}" for i in range(20) for text in [*PLAIN, *ODD]] + [LONG]
    alone = {limit: ours(texts, limit) for limit in (3, 17, 60)}

    def work(turn: int) -> None:
        limit = (3, 17, 60)[turn % 3]
        assert ours(texts, limit) == alone[limit]

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(work, turn) for turn in range(48)]:
            done.result(60)


def test_the_callers_tokenizer_is_left_as_it_was_and_cannot_disturb(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    whole = AutoTokenizer.from_pretrained(checkpoint(name))
    whole.backend_tokenizer.enable_truncation(5)
    whole.backend_tokenizer.enable_padding(length=50)
    ours = TextTokenizer(whole.backend_tokenizer)
    assert len(ours([LONG], 40)[0].ids) == 40
    whole.backend_tokenizer.enable_truncation(3)
    assert len(ours([LONG], 40)[0].ids) == 40
    assert whole.backend_tokenizer.truncation["max_length"] == 3


def test_only_bare_punctuation_counts_as_punctuation(
    tokenizer: Get, theirs: PreTrainedTokenizerBase, name: str
) -> None:
    bare = tokenizer(name).punctuation
    ids = theirs("paris, a b; 12.", add_special_tokens=False)["input_ids"]
    pieces = theirs.convert_ids_to_tokens(ids)
    for token, piece in zip(ids, pieces, strict=True):
        assert bare[token] == (not any(char.isalnum() for char in piece)), piece


@given(query=st.integers(0, 2000), window=st.integers(2, 1024))
def test_a_document_always_has_half_of_the_window_and_no_token_is_lost(
    query: int, window: int
) -> None:
    first, second = pair_shares(query, window)
    assert first + second == window
    assert second >= window / 2
    assert first == min(query, window // 2)
