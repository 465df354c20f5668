from pathlib import Path

import pytest

from pairsieve.pipeline.selections.overrides import apply, load, parse
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_keep import AtMost, Lengths, Mix, Sample

RECIPE = """\
input: {path: p}
keep:
  - size: {min_side_px: 100}
  - sharpness:
  - {where: "width > 7", name: wide}
  - {top_fraction: 0.3, of: sharpness}
  - {aspect_ratio: {max_ratio: 3}, name: flat}
"""


def read(tmp_path: Path, *settings: str) -> Recipe:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return load(path, settings)


def test_options_conditions_and_ranks_are_set_by_the_names_of_their_rules(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        "size.min_bytes=5",
        "sharpness.min_sharpness = 0.4",
        "wide.where=width > 9",
        "top_fraction sharpness.top_fraction=0.5",
        "flat.max_ratio=2",
    )
    size, sharpness, wide, top, flat = recipe.keep
    assert size.options == {"min_side_px": 100, "min_bytes": 5}
    assert sharpness.options == {"min_sharpness": 0.4}
    assert (wide.where, top.top_fraction) == ("width > 9", 0.5)
    assert (flat.filter, flat.name, flat.options) == ("aspect_ratio", "flat", {"max_ratio": 2})


def test_caps_samples_and_mixes_are_set_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(
        "input: {path: p}\nkeep: [{at_most: {per: host, n: 9}}, {sample: {n: 5}}, "
        "{mix: {by: language, shares: {en: 1}}}, "
        "{length_balance: {shares: {1: 0.5, 2: 0.5}}}]\n"
    )
    cap, sample, mix, lengths = load(
        path,
        [
            *("at_most per host.n=3", "sample.n=2", "mix by language.shares={de: 1}"),
            "length_balance.shares={4: 0.9, 9: 0.1}",
        ],
    ).keep
    assert (cap.at_most, sample.sample) == (AtMost(per="host", n=3), Sample(n=2))
    assert lengths.length_balance == Lengths(shares={4: 0.9, 9: 0.1})
    assert mix.mix == Mix(by="language", shares={"de": 1})
    assert [entry.rule_name for entry in (cap, sample, mix)] == [
        *("at_most per host", "sample", "mix by language")
    ]


def test_a_value_is_read_as_yaml() -> None:
    values = [override.value for override in parse(["a.b=[en, de]", "a.c=0.26", "a.d=1=1"])]
    assert values == [["en", "de"], 0.26, "1=1"]


def test_sections_that_select_reads_are_set_and_made_where_there_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, "scratch.memory_mb=512").scratch.memory_mb == 512


def test_a_recipe_knows_its_file_and_what_was_set(tmp_path: Path) -> None:
    origin = read(tmp_path, "size.min_bytes = 5").origin
    assert (origin.file, origin.overrides) == ("r.yaml", ("size.min_bytes=5",))


def test_the_content_of_the_file_stays_as_it_is() -> None:
    content = {"keep": [{"size": {"min_bytes": 1}}]}
    assert apply(content, parse(["size.min_bytes=5"])) == {"keep": [{"size": {"min_bytes": 5}}]}
    assert content == {"keep": [{"size": {"min_bytes": 1}}]}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("wide.name=w", "`wide` has no option `name` that can be set; known: where"),
        ("width > 7.where=x", "`keep` has no rule of that name; known: size, sharpness, wide"),
        ("sharpnes.min_sharpness=2", "did you mean `sharpness`?"),
        ("keep.0=1", "`select` does not read `keep`"),
        ("scratch.memory=1", "did you mean `memory_mb`"),
    ],
)
def test_what_cannot_be_set_is_refused(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(BadOption) as refused:
        read(tmp_path, setting)
    assert says in str(refused.value)
