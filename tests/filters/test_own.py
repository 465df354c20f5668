"""Filters of the user's own: found in files and packages, and refused where they cannot work."""

import sys
from pathlib import Path
from typing import Any

import pytest

from pairsieve.filters import FILTERS, own
from pairsieve.filters.base import name_of
from pairsieve.filters.order import ordered
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

SHOUT = """
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pairsieve.schemas.columns import IMAGE_EMBEDDING, TEXT, Column

SHOUTED = Column("shouted", pa.float32(), "[0, 1]", "Share of the characters that are capitals.")


@dataclass(frozen=True)
class Shout:
    reads = (TEXT,)
    writes = (SHOUTED,)

    max_share: float = 0.7

    def __post_init__(self):
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share must be in [0, 1], got {self.max_share}")

    def measure(self, text):
        return np.array([sum(c.isupper() for c in one) / max(1, len(one)) for one in text])

    def rule(self):
        return f"shouted <= {self.max_share!r}"
"""
ENTRY_POINTS = "[pairsieve.filters]\nacme = acme_filters\nacme_one = acme_filters:Shout\n"


def recipe(keep: list[Any] | None = None, **filters: Any) -> Recipe:
    content = {"input": {"path": "p"}, "filters": filters, "keep": keep or []}
    return Recipe.model_validate(content)


def file(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """Write the filter with changes; return its path."""
    text = SHOUT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "shout.py"
    path.write_text(text)
    return str(path)


def test_a_file_adds_a_filter_with_its_column_and_rule(tmp_path: Path) -> None:
    asked = recipe([{"shout": {"max_share": 0.5}}], files=[file(tmp_path)])
    filters = own.of(asked)
    assert filters[: len(FILTERS)] == FILTERS
    assert [name_of(f) for f in filters[len(FILTERS) :]] == ["shout"]
    assert [column.name for column in own.columns(filters)] == ["shouted"]
    assert "Shout" in [type(one).__name__ for one in ordered(filters).text]
    (rule,) = rules(asked)
    assert (rule.name, rule.sql, rule.phase) == ("shout", "shouted <= 0.5", 0)


def test_another_code_is_another_identity(tmp_path: Path) -> None:
    first = own.identity(recipe(files=[file(tmp_path)]))
    (tmp_path / "more").mkdir()
    other = own.identity(recipe(files=[file(tmp_path / "more", ("isupper", "islower"))]))
    assert first.keys() == other.keys() == {"shout"}
    assert first != other
    assert own.identity(recipe()) == {}


def test_a_package_offers_filters_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_filters.py").write_text(SHOUT)
    (tmp_path / "acme-1.dist-info").mkdir()
    (tmp_path / "acme-1.dist-info/METADATA").write_text("Name: acme\nVersion: 1\n")
    (tmp_path / "acme-1.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("acme", "acme_one"):
        own._loaded.cache_clear()
        assert [name_of(f) for f in own.of(recipe(packages=[name]))][-1] == "shout"
    with pytest.raises(BadOption, match=r"packages.0: no .* offers `acne`; .*did you mean `acme`"):
        own.of(recipe(packages=["acne"]))
    del sys.modules["acme_filters"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("import numpy", "import numpie")], "cannot be imported: ModuleNotFoundError: No module"),
        ([("def measure(self, text):", "def measure(self, text)")], "cannot be imported: SyntaxE"),
        ([("@dataclass(frozen=True)", "")], "`Shout` is no dataclass: put `@dataclass"),
        ([("float = 0.7", "float")], "`Shout` cannot be made without options"),
        ([("(TEXT,)", "TEXT")], "`Shout` needs `reads`, a tuple of columns"),
        ([('"shouted", pa', '"Shouted", pa')], "writes `Shouted`: the name must look like"),
        ([('"shouted", pa', '"sharpness", pa')], "writes `sharpness`, which is pairsieve's"),
        ([("pa.float32()", "pa.list_(pa.int8())")], "`shouted`, a list.*: it may be a number"),
        ([('"Share of the characters that are capitals."', '""')], "give it a `doc`"),
        ([("class Shout", "class Sharpness")], "`sharpness` is one of pairsieve's own"),
        ([("class Shout", "class Where")], "`where` means something else in `keep`"),
        ([("class Shout", "class _Shout")], "no class with `measure` or `rule`: no filter"),
        ([("max(1, len(one))", "len(one[1:])")], "fails in `measure` on 3 plain rows: ZeroDiv"),
        ([("for one in text]", "for one in text[:1]]")], "gives 1 values of `shouted` for 3 rows"),
        ([("(TEXT,)", "(TEXT, IMAGE_EMBEDDING)")], "only there in `embed`; filters of your own"),
        ([("return f", "return 3, f")], "must return a DuckDB condition"),
    ],
)
def test_a_filter_that_cannot_work_is_refused(
    tmp_path: Path, changes: list[tuple[str, str]], said: str
) -> None:
    asked = recipe(files=[file(tmp_path, *changes)])
    with pytest.raises(BadOption, match=said) as refused:
        own.of(asked)
    assert str(refused.value).startswith("filters")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_shar": 0.5}, "keep.0.shout.max_shar: unknown option; .*`max_share`"),
        ({"max_share": 2}, r"keep.0.shout: max_share must be in \[0, 1\], got 2"),
    ],
)
def test_its_options_are_checked_like_any_others(
    tmp_path: Path, options: dict[str, float], said: str
) -> None:
    with pytest.raises(BadOption, match=said):
        rules(recipe([{"shout": options}], files=[file(tmp_path)]))


def test_a_missing_file_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"filters.files.0: .*none.py: no such file"):
        own.of(recipe(files=[str(tmp_path / "none.py")]))
    with pytest.raises(BadOption, match="filters: `shout` is there twice"):
        own.of(recipe(files=[file(tmp_path)] * 2))
