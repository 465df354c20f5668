"""Presets on small pools of which it was worked out by hand what their sources would keep."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pairsieve.jobs.recipes.template import preset_template
from pairsieve.jobs.selection_tables import pass_rates
from pairsieve.pipeline import select
from pairsieve.pipeline.check import check
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.rules import Rule, rules
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.presets import PRESETS, expanded
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load

PutGathered = Callable[[Store, list[dict[str, Any]]], None]
MODEL = {"model": "pairsieve-tiny", "pretrained": "demo"}


@pytest.fixture(autouse=True)
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the list that presets written out name into the current folder."""
    np.save(tmp_path / "clusters.npy", np.array([2, 5]))
    monkeypatch.chdir(tmp_path)


def test_a_preset_with_a_list_has_its_path() -> None:
    content, names = expanded({"keep": {"preset": "datacomp-1b", "clusters": "imagenet.txt"}})
    assert {"image_cluster": {"path": "imagenet.txt"}} in content["keep"]
    assert (len(content["keep"]), names) == (5, ("datacomp-1b",))


def rules_of(name: str) -> tuple[Rule, ...]:
    keep = [*PRESETS[name].keep]
    embed = MODEL | {"centroids": "centroids.npy"}
    texts = {"classifiers": {"unsafe": {"model": "detoxify", "positive": ["toxicity"]}}}
    asked = {"input": {"path": "p"}, "keep": keep, "embed": embed, "text": texts}
    return rules(Recipe.model_validate(asked))


class Classes(dict[str, float]):
    """Probabilities by classifier, as SQL writes them."""

    def __repr__(self) -> str:
        """Return the map."""
        return f"MAP {super().__repr__()}"


def kept(name: str, rows: list[dict[str, Any]]) -> list[bool]:
    """Return which rows pass all rules of a preset."""
    import duckdb

    columns = sorted({key for row in rows for key in row})
    listed = ", ".join("(" + ", ".join(repr(row[key]) for key in columns) + ")" for row in rows)
    condition = " AND ".join(f"({rule.sql})" for rule in rules_of(name))
    with duckdb.connect() as connection:
        query = f"SELECT {condition} FROM (VALUES {listed}) AS ledger({', '.join(columns)})"
        return [bool(passes) for (passes,) in connection.execute(query).fetchall()]


def pair(**changes: Any) -> dict[str, Any]:
    usual = {
        "caption_words": 8,
        "caption_chars": 40,
        "language": "en",
        "language_confidence": 0.9,
        "width": 640,
        "height": 480,
        "aspect_ratio": 1.33,
        "fetch_bytes": 50_000,
        "image_kind": "jpeg",
        "caption_count": 1,
        "captions_of_image": 1,
        "rarest_word_rank": 1,
        "rarest_word_times": 1,
        "clip_similarity": 0.35,
        "nsfw": 0.01,
        "xmp_licence": "CC-BY-SA-4.0",
        "text_classes": Classes({"unsafe": 0.01}),
    }
    return usual | changes


@pytest.mark.parametrize(
    ("name", "changes", "passes"),
    [
        ("laion-400m", {"clip_similarity": 0.3}, True),
        ("laion-400m", {"clip_similarity": 0.2999}, False),
        ("laion-400m", {"caption_chars": 5}, True),
        ("laion-400m", {"caption_chars": 4}, False),
        ("laion-400m", {"caption_chars": 5000}, True),
        ("laion-400m", {"fetch_bytes": 5000}, True),
        ("laion-400m", {"fetch_bytes": 4999}, False),
        ("laion-400m", {"width": 20, "language": "zh", "caption_words": 1}, True),
        ("laion-2b-en", {"clip_similarity": 0.28}, True),
        ("laion-2b-en", {"clip_similarity": 0.2799}, False),
        ("laion-2b-en", {"language": "de", "language_confidence": 0.05}, False),
        ("laion-2b-en", {"language_confidence": 0.05}, True),
        ("laion-multi", {}, False),
        ("laion-multi", {"language": "de", "clip_similarity": 0.26}, True),
        ("laion-multi", {"language": "de", "clip_similarity": 0.2599}, False),
        ("datacomp-basic", {"caption_words": 3}, True),
        ("datacomp-basic", {"caption_words": 2}, False),
        ("datacomp-basic", {"caption_chars": 6}, True),
        ("datacomp-basic", {"caption_chars": 5}, False),
        ("datacomp-basic", {"height": 200}, True),
        ("datacomp-basic", {"height": 199}, False),
        ("datacomp-basic", {"aspect_ratio": 3.0}, True),
        ("datacomp-basic", {"aspect_ratio": 3.01}, False),
        ("datacomp-basic", {"language": "nl"}, False),
        ("datacomp-basic", {"clip_similarity": -0.5, "fetch_bytes": 1}, True),
        ("datacomp-safe", {"nsfw": 0.1}, True),
        ("datacomp-safe", {"nsfw": 0.1001}, False),
        ("datacomp-safe", {"text_classes": Classes({"unsafe": 0.1})}, True),
        ("datacomp-safe", {"text_classes": Classes({"other": 0.0, "unsafe": 0.11})}, False),
        ("cc12m", {"height": 401}, True),
        ("cc12m", {"height": 400}, False),
        ("cc12m", {"aspect_ratio": 2.5}, True),
        ("cc12m", {"aspect_ratio": 2.51}, False),
        ("cc12m", {"caption_words": 256}, True),
        ("cc12m", {"caption_words": 257}, False),
        ("cc12m", {"caption_words": 2}, False),
        ("cc12m", {"image_kind": "png"}, False),
        ("coyo-700m", {"aspect_ratio": 3.0, "height": 200, "fetch_bytes": 5000}, True),
        ("coyo-700m", {"caption_words": 2}, False),
        ("coyo-700m", {"caption_chars": 1001}, False),
        ("align", {"height": 201, "caption_words": 20, "aspect_ratio": 2.99}, True),
        ("align", {"height": 200}, False),
        ("align", {"aspect_ratio": 3.0}, False),
        ("align", {"caption_words": 21}, False),
        ("align", {"caption_words": 2}, False),
        ("align", {"caption_count": 10, "captions_of_image": 1000}, True),
        ("align", {"caption_count": 11}, False),
        ("align", {"captions_of_image": 1001}, False),
        ("align", {"rarest_word_rank": 100_000_000}, True),
        ("align", {"rarest_word_rank": 100_000_001}, False),
        ("coyo-700m", {"caption_count": 11}, False),
        ("wit", {"height": 100, "caption_words": 3}, True),
        ("wit", {"height": 99}, False),
        ("wit", {"xmp_licence": "https://creativecommons.org/licenses/by-nc/4.0/"}, True),
        ("wit", {"xmp_licence": "https://example.org/all-rights-reserved"}, False),
    ],
)  # fmt: skip
def test_bounds_are_inclusive_or_exclusive_as_published(
    name: str, changes: dict[str, Any], passes: bool
) -> None:
    assert kept(name, [pair(**changes)]) == [passes]


def test_the_top_30_percent_of_the_pool_by_score(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(store, [{"sharpness": score / 10} for score in range(10)])
    (rule,) = PRESETS["datacomp-clip-l14-30"].keep
    assert rule == {"top_fraction": 0.3, "of": "clip_similarity"}
    keep = [rule | {"of": "sharpness"}]  # a score that needs no model
    select.run(Recipe.model_validate({"input": {"path": "p"}, "keep": keep}), store, Serial(), "s")
    with connect(store) as connection:
        attach(connection, store, selection="s")
        query = "SELECT row FROM ledger WHERE keep ORDER BY row"
        assert connection.execute(query).fetchall() == [(7,), (8,), (9,)]


def test_counts_on_a_pool_with_known_answers(
    tmp_path: Path, store: Store, put_gathered: PutGathered
) -> None:
    english: dict[str, Any] = {"language": "en", "language_confidence": 0.8, "aspect_ratio": 1.5}
    rows: list[dict[str, Any]] = [
        english | {"caption_words": 3, "caption_chars": 6},
        english | {"caption_words": 2, "caption_chars": 60},
        english | {"caption_words": 9, "caption_chars": 5},
        english | {"caption_words": 9, "caption_chars": 60, "width": 199},
        english | {"caption_words": 9, "caption_chars": 60, "aspect_ratio": 3.5},
        english | {"caption_words": 9, "caption_chars": 60, "language": "fr"},
        {"outcome": "http_4xx"},
    ]
    put_gathered(store, rows)
    path = tmp_path / "r.yaml"
    path.write_text("input: {path: p}\nkeep: {preset: datacomp-basic}\n")
    select.run(load(path), store, Serial(), "basic")
    marker = store.marker(select_marker("basic"))
    assert marker
    assert marker.extra["made_by"]["presets"] == ["datacomp-basic"]
    assert [(row["rule"], row["dropped"], row["left"]) for row in marker.extra["funnel"]] == [
        ("outcome", 1, 6),
        ("language", 1, 5),
        ("caption_words", 1, 4),
        ("caption_chars", 1, 3),
        ("size", 1, 2),
        ("aspect_ratio", 1, 1),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def test_a_preset_may_stand_beside_other_rules() -> None:
    content = {"keep": [{"sharpness": {}}, {"preset": "datacomp-clip-l14-30"}]}
    keep = [{"sharpness": {}}, {"top_fraction": 0.3, "of": "clip_similarity"}]
    assert expanded(content) == ({"keep": keep}, ("datacomp-clip-l14-30",))


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({"preset": "laion-2b"}, "keep.preset: no preset is called `laion-2b`; .*`laion-2b-en`"),
        ([{"preset": 3}], "keep.0.preset: no preset is called `3`"),
        ({"preset": "datacomp-1b"}, "datacomp-1b` needs a list: `clusters: PATH` beside its name"),
        ([{"preset": "datacomp-1b", "clusters": 3}], "keep.0.preset: .* needs a list"),
        ({"preset": "coyo-700m", "clusters": "a"}, "keep.preset: stands alone, without `clusters`"),
        ({"preset": "cc12m", "gate": True}, "keep.preset: stands alone, without `gate`"),
    ],
)
def test_what_is_no_preset_or_cannot_be_is_refused(keep: Any, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        expanded({"keep": keep})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_written_out_is_a_recipe_with_its_rules_and_model(name: str) -> None:
    preset = PRESETS[name]
    content = yaml.safe_load(preset_template(name))
    assert content["keep"] == list(preset.keep)
    if preset.model:
        assert (content["embed"]["model"], content["embed"]["pretrained"]) == preset.model
    assert len(rules(Recipe.model_validate(content))) == len(preset.keep)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_says_its_source_and_its_rules_can_be_applied(preset: Any) -> None:
    assert "arXiv:" in preset.source or "github.com/" in preset.source
    assert len(rules_of(preset.name)) == len(preset.keep)
    assert preset.pass_rate is None or (0 < preset.pass_rate < 1 and preset.passed_of)
    reads_scores = any(name in str(preset.keep) for name in ("clip_similarity", "nsfw"))
    assert reads_scores == (preset.model_name != "-")


def test_another_model_than_the_presets_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    for name, warned in (("laion-400m", 1), ("datacomp-basic", 0)):
        path.write_text(
            f"input: {{path: p}}\nembed: {MODEL}\nkeep: {{preset: {name}}}\n".replace("'", "")
        )
        found = [text for text in check(load(path), verbs=["select"]) if "presumes" in text]
        assert len(found) == warned


def test_the_published_pass_rate_is_told_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    counts = {"pairs": 10, "failed": 2, "dropped": 6, "kept": 2}
    path.write_text("input: {path: p}\nkeep: {preset: datacomp-basic}\n")
    (said,) = pass_rates(load(path), Marker(10, {}, counts, {}))
    assert said == (
        "Preset datacomp-basic: published 23.3 % of DataComp's pool, large; kept here, by all "
        "rules: 25.0 % of 8 pairs that did not fail in fetch or decode."
    )
