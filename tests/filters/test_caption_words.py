import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.caption_words import CaptionWords
from pairsieve.schemas.columns import CAPTION_WORDS

TEXTS = ["", "   ", "dog", " a  dog\n", "a\u00a0dog", "犬", "one two three four"]
WORDS = [0, 0, 1, 2, 2, 1, 4]


def kept(rule: str, words: list[int | None]) -> list[bool | None]:
    ledger = pa.table({"caption_unicode_words": pa.array(words, CAPTION_WORDS.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_counts_what_white_space_separates() -> None:
    assert CaptionWords().measure(text=np.array(TEXTS, object))[0].tolist() == WORDS


def test_counts_words_where_no_spaces_part_them() -> None:
    texts = np.array(["小さな茶色の犬が雪の中を走る", "a dog"], object)
    spaced, words = CaptionWords().measure(text=texts)
    assert spaced.tolist() == [1, 2]
    # 小さな 茶色 の 犬 が 雪 の 中 を 走る
    assert words.tolist() == [10, 2]


def test_a_rule_on_white_space_reads_that_column() -> None:
    rule = CaptionWords(min_words=3, tokens="whitespace").rule()
    assert rule == "caption_words >= 3"


def test_lower_bound_is_kept_and_one_less_is_dropped() -> None:
    assert kept(CaptionWords(min_words=3).rule(), [3, 2]) == [True, False]


def test_upper_bound_is_kept_and_one_more_is_dropped() -> None:
    assert kept(CaptionWords(min_words=0, max_words=5).rule(), [0, 5, 6]) == [True, True, False]


def test_without_an_upper_bound_any_length_is_kept() -> None:
    assert kept(CaptionWords().rule(), [2_000_000]) == [True]


def test_a_null_score_is_not_kept() -> None:
    assert kept(CaptionWords(max_words=9).rule(), [None]) == [None]


def test_refuses_a_negative_bound() -> None:
    with pytest.raises(ValueError, match="min_words must be at least 0, got -1"):
        CaptionWords(min_words=-1)


def test_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(ValueError, match=r"at least min_words \(3\), got 2"):
        CaptionWords(min_words=3, max_words=2)


def test_refuses_another_kind_of_token() -> None:
    with pytest.raises(ValueError, match="tokens must be unicode or whitespace, got 'bpe'"):
        CaptionWords(tokens="bpe")  # type: ignore[arg-type]


def test_no_texts_give_no_counts() -> None:
    for counts in CaptionWords().measure(text=np.array([], object)):
        assert counts.shape == (0,)
        assert counts.dtype == np.int32


def test_order_and_batches_do_not_matter() -> None:
    back = np.array(TEXTS[::-1], object)
    parts = [CaptionWords().measure(text=part)[0] for part in (back[:3], back[3:])]
    assert np.concatenate(parts).tolist() == WORDS[::-1]
