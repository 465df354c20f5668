from pathlib import Path

import pytest

from pairsieve.schemas.about import load
from pairsieve.schemas.errors import BadOption


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("titel: x", "titel: unknown key; .*did you mean `title`"),
        ("licence: two words", "licence: string should match pattern .*got 'two words'"),
        ("url: example.org", "url: .*got 'example.org'"),
        ("published: soon", "published: .*got 'soon'"),
        ("- a", "the file: .*got"),
        ("title: [", "not a readable YAML file"),
        ("title: a\ntitle: b", "not a readable YAML file.*stands in line 1 already"),
    ],
)
def test_what_is_wrong_is_refused_with_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "about.yaml"
    path.write_text(text)
    with pytest.raises(BadOption, match=f"(?s)--about: .*about.yaml: {said}"):
        load(path)


def test_a_file_that_is_not_there_is_refused_and_an_empty_one_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--about: .*No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert load(tmp_path / "empty.yaml").title is None
