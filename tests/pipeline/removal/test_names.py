"""What may be named to be taken out, and what is refused."""

from pathlib import Path

import pytest

from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.unit.ledger_part import uid
from pairsieve.schemas.errors import BadOption


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("uid", "12", "--uid: a uid has 32 hex digits; got '12'"),
        ("url", "ftp://example.org/a", "--url: after `url` comes an http or https URL"),
        ("sha256", "ab", "--sha256: after `sha256` comes 64 hex digits"),
    ],
)
def test_a_value_that_is_none_of_its_kind_is_refused(kind: str, value: str, told: str) -> None:
    with pytest.raises(BadOption, match=told.replace("`", ".")):
        keys({kind: [value]}, ())


def test_a_list_has_a_kind_and_a_value_in_each_line(tmp_path: Path) -> None:
    name = uid("http://example.org/a", "a")
    (tmp_path / "list.txt").write_text(f"# asked for\nuid {name}\nhost example.org\n")
    assert [kind for kind, _ in keys({}, [str(tmp_path / "list.txt")])] == ["uid", "host"]
    (tmp_path / "list.txt").write_text("colour red\n")
    with pytest.raises(BadOption, match="line 1: a line begins with its kind; known: uid, host"):
        keys({}, [str(tmp_path / "list.txt")])
