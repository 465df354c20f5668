from pathlib import Path

import pytest

from pairsieve.filters.entry_lists import Matcher, read, read_all


def found(text: str, *entries: str, ignore_case: bool = False) -> list[str]:
    matcher = Matcher([""] * len(entries), entries, ignore_case)
    return [entries[index] for index in matcher.match(text, "en")]


def test_entries_are_found_between_spaces_and_marks() -> None:
    entries = ("dog", "hot dog", "hot", "do", ".")
    assert found("a hot dog.", *entries) == ["dog", "hot dog", "hot", "."]
    assert found("hotdog dogs dog-like (dog)", *entries) == []
    assert found("hot\ndog,hot\tdo", *entries) == ["dog", "hot dog", "hot", "do"]


def test_capitals_count_as_published_unless_ignored() -> None:
    assert found("Dog in PARIS", "dog", "Paris") == []
    assert found("Dog in PARIS", "dog", "Paris", ignore_case=True) == ["dog", "Paris"]


def test_an_edge_without_spaces_needs_none() -> None:
    assert found("一只棕色的小狗在雪地里", "小狗", "dog", "雪") == ["小狗", "雪"]


def test_each_language_has_its_list_and_others_that_of_no_language() -> None:
    matcher = Matcher(["", "", "de"], ["gift", "present", "gift"], False)
    assert matcher.match("gift present", "de") == [2]
    assert matcher.match("gift present", "en") == matcher.match("gift present", None) == [0, 1]


@pytest.mark.parametrize("text", ["", "\0", "\u202e\u05d0", "\ud800", "dog" * 300_000, "' OR 1"])
def test_hostile_texts_have_no_entry(text: str) -> None:
    assert found(text, "dog", "cat") == []


def test_a_list_is_text_or_json(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffdog\n\n cat \ndog\n", encoding="utf-8")
    (tmp_path / "list.json").write_text('["hot dog", "cat"]')
    assert read(str(tmp_path / "list.txt")) == ["cat", "dog"]
    files = (str(tmp_path / "list.txt"), {"en": str(tmp_path / "list.json")})
    assert read_all(*files) == (["", "", "en", "en"], ["cat", "dog", "cat", "hot dog"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\n", "holds no entry"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"[1]", "not all of the list are texts"),
        (b"[", "is none"),
        (b'["a", "\\ud800"]', "half a character"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read(str(tmp_path / "list"))
