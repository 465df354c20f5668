import duckdb
import numpy as np
import pytest

from pairsieve.filters import caption_phrases
from pairsieve.filters.caption_quality import CaptionQuality

NAMES = ["is_file_name", "holds_url", "code_share", "generic", "only_date", "navigation"]
# What each text is, by the words of the documentation.
CASES = {
    "is_file_name": [
        "DSC_0294.jpg", "West Acton stn look east.JPG", "IMG_2041", "img 20190824",
        "Screenshot (3)", "mount-everest-89590_1280", "Seattle_Skyline_Morning", "screen shot 2019",
        "5f3a9c1b77e0", "ohio-consumers-counsel", "foto1", "ekaterina-123",
    ],
    "holds_url": [
        "tutorialblog.org", "http://a.example/b", "photo by www.shamstarek.com, 2010", "x.co/abc",
    ],
    "generic": [
        "image", "Photo", "image of", "Photo 12", "picture #3", "stock photo", "Bild 4", "画像",
        "foto", "Изображение 7", "product image 1 of 3", "No image",
    ],
    "only_date": [
        "2012-06-01", "12/03/2019", "January 2018", "Mon, 3rd March 2014 10:22 am", "5. Mai 2010",
        "Posted on May 4, 2010", "1 января 2015",
    ],
    "navigation": [
        "click to enlarge", "Page loading...", "Dog - Click to enlarge", "kein Bild verfügbar",
        "Read more", "点击放大", "clique para ampliar", "No image available",
    ],
}  # fmt: skip
FINE = [
    "a small brown dog runs across the snow", "photo of a dog", "T-shirt",
    "May", "Mars", "1964 Yearbook", "Dog, May 2014", "Mr. Smith", "e.g. dogs", "iPhone 12", "3D",
    "A dog in a big house. Please click to enlarge it.", "a.m. to p.m.", "犬", "10x15cm",
]  # fmt: skip


def flags(text: str) -> dict[str, object]:
    columns = CaptionQuality().measure(np.array([text], object))
    return dict(zip(NAMES, (column[0].item() for column in columns), strict=True))


@pytest.mark.parametrize(("name", "text"), [(n, each) for n in CASES for each in CASES[n]])
def test_a_text_is_what_it_looks_like(name: str, text: str) -> None:
    assert flags(text)[name] is True


@pytest.mark.parametrize("text", FINE)
def test_a_caption_is_none_of_it(text: str) -> None:
    assert [name for name, value in flags(text).items() if value] == []


# Shares of words: by hand.
CODES = [
    ("Western Digital WD20EARS 2TB", 1 / 4),
    ("Karcher BRC-4676 W", 1 / 3),
    ("$32.50", 1),
    ("from 1,200€ only", 1 / 3),
    ("9780670019403: The Secret", 1 / 3),
    ("10x15cm 1080p 1990s 500ml", 0),
    ("", 0),
]


@pytest.mark.parametrize(("text", "share"), CODES)
def test_prices_and_article_numbers_are_counted(text: str, share: float) -> None:
    assert flags(text)["code_share"] == pytest.approx(share)


def test_every_kind_can_be_kept_and_the_bound_is() -> None:
    names = ", ".join(NAMES)
    values = (
        "(VALUES (true, false, 0.5, false, false, false), (false, false, 0.6, false, false, false))"
    )
    for drop, expected in ((("is_file_name",), [(False,), (False,)]), ((), [(True,), (False,)])):
        rule = CaptionQuality(drop=drop).rule()
        assert duckdb.execute(f"SELECT {rule} FROM {values} t({names})").fetchall() == expected


@pytest.mark.parametrize("drop", ["is_file_name", ("slug",)])
def test_refuses_another_kind(drop: object) -> None:
    with pytest.raises(ValueError, match="drop must be a list of is_file_name, holds_url, generic"):
        CaptionQuality(drop=drop)  # type: ignore[arg-type]


def test_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match=r"max_codes must be in \[0, 1\], got -1"):
        CaptionQuality(max_codes=-1)


def test_phrases_are_lower_case_and_whole() -> None:
    listed = caption_phrases.phrases(caption_phrases.NAVIGATION)
    assert [phrase for phrase in listed if phrase != phrase.lower().strip()] == []
    assert len(listed) == len(set(listed))
    assert min(map(len, listed)) >= 2


def test_no_texts_give_nothing() -> None:
    columns = CaptionQuality().measure(np.array([], object))
    assert [column.shape for column in columns] == [(0,)] * 6


def test_order_and_batches_do_not_matter() -> None:
    texts = np.array([*FINE, *CASES["generic"]], object)
    whole = np.stack(CaptionQuality().measure(texts))
    back = np.stack(CaptionQuality().measure(texts[::-1]))[:, ::-1]
    assert np.array_equal(whole, back)
