"""Presets over real pairs with real vectors, by OpenAI's ViT-B/32, beside what was published.

Half of the pairs are photographs with what people wrote of them; in the other half each photograph
has the text of another one, as much of a crawl has. What is counted here is worked out apart from
the pipeline: sizes by Pillow, words by white space, cosines by NumPy. The material has no vectors
by ViT-L/14 and no encoder: where a preset presumes L/14, this is B/32 in its place; and a minor is
looked for in texts alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from pairsieve.filters import FILTERS
from pairsieve.filters.caption_chars import CaptionChars
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.filters.order import ordered
from pairsieve.jobs.selection_tables import pass_rates
from pairsieve.pipeline import group, plan, run, select
from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    VECTORS_SUFFIX,
    beside,
    embed_marker,
    marker_path,
    model_record,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.vectors import score_commit, scorers, scores
from pairsieve.pipeline.vectors.folders import model_folder, scores_folder, scores_folders
from pairsieve.pipeline.vectors.model_record import ModelRecord
from pairsieve.pipeline.vectors.score_commit import Scoring
from pairsieve.pipeline.vectors.scores import PreparedScorers
from pairsieve.schemas.presets import PRESETS, expanded
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load

WIDTH, SCALE = 512, 100.0  # of ViT-B/32: components of a vector, inverse temperature
RECORD = ModelRecord("ViT-B-32", "openai", WIDTH, SCALE, 0.0, "of others", "of others")
UNREAD = ("Violence", "Watermark")  # what needs the model's encoder of texts, and no preset reads


class Pair(NamedTuple):
    """What is known of a pair without pairsieve."""

    path: Path
    text: str
    true: bool
    cosine: float

    @property
    def words(self) -> int:
        return len(self.text.split())

    def is_large(self, side: int, ratio: float = 1000, size: int = 0) -> bool:
        """Return whether it has so many px, so few times as long a side, and so many bytes."""
        with Image.open(self.path) as image:
            low, high = sorted(image.size)
        return low >= side and high <= ratio * low and self.path.stat().st_size >= size


class Real(NamedTuple):
    """A dataset of real pairs with vectors, a recipe but for its rules, and the pairs."""

    store: Store
    recipe: dict[str, Any]
    folder: Path
    pairs: list[Pair]


def unit(vectors: NDArray[Any]) -> NDArray[np.float16]:
    """Return vectors of length 1 as they are stored."""
    normal: NDArray[np.float16] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal.astype(np.float16)


def read(real: Path) -> tuple[list[Pair], NDArray[np.float16], NDArray[np.float16]]:
    """Return the pairs, true ones first, and the vectors of their images and texts."""
    table = pq.read_table(real / "clip_vit_b32_openai" / "vectors.parquet")
    columns = (table[name].to_numpy() for name in ("image_embedding", "text_embedding"))
    images, texts = (unit(np.stack(column).astype(np.float64)) for column in columns)
    other = np.roll(np.arange(len(images)), 250)  # far from the other captions of the photograph
    images, texts = np.concatenate([images, images]), np.concatenate([texts, texts[other]])
    cosines = np.sum(unit(images.astype(np.float64)).astype(float) * texts.astype(float), axis=1)
    paths, words = table["path"].to_pylist(), table["text"].to_pylist()
    words += [words[index] for index in other]
    named = zip(paths * 2, words, cosines, strict=True)
    half = len(paths)
    return (
        [
            Pair(real / "www" / path, text, number < half, float(cosine))
            for number, (path, text, cosine) in enumerate(named)
        ],
        images,
        texts,
    )


@pytest.fixture(scope="module")
def made(
    real: Path, serve: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Real:
    """The real pairs, fetched, with their vectors, their scores and LAION's head for NSFW."""
    folder = tmp_path_factory.mktemp("presets")
    pairs, images, texts = read(real)
    base = serve(real / "www")
    urls = [f"{base}/{pair.path.relative_to(real / 'www').as_posix()}" for pair in pairs]
    table = pa.table({"url": urls, "text": [pair.text for pair in pairs]})
    pq.write_table(table, folder / "pairs.parquet")
    head = real / "heads" / "clip_ViT-B-32_openai_binary_nsfw_head.pth"
    content: dict[str, Any] = {
        "input": {"path": str(folder / "pairs.parquet"), "unit_pairs": len(pairs)},
        "fetch": {
            "user_agent": "test (a@b.example)",
            "per_host_per_s": 100_000,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [int(base.rpartition(":")[2])],
        },
        "image": {"min_side": 64},
        "embed": {
            "model": "ViT-B-32",
            "pretrained": "openai",
            "scores": {"nsfw": {"head": str(head)}},
        },
        "group": {"entries": {}},
        "keep": [{"preset": "align"}, {"concept_balance": {"max_pairs": 20_000}}],
    }
    store = Store.at(folder / "dataset")
    content, _ = expanded(content)
    recipe = Recipe.model_validate(content)
    bare = recipe.model_copy(update={"embed": None, "keep": ()})
    run.measure(bare, store, Serial(), plan.run(bare, store), lambda *_, **__: None)
    commit_vectors(store, recipe, images, texts)
    group.run(recipe, store, Serial())
    return Real(store, content, folder, pairs)


def commit_vectors(
    store: Store, recipe: Recipe, images: NDArray[np.float16], texts: NDArray[np.float16]
) -> None:
    """Commit vectors as `embed` does that were made elsewhere, and measure the scores on them."""
    assert recipe.embed
    folder = model_folder(recipe.embed)
    store.create(model_record(folder), checked_json.dumps(RECORD.to_json()))
    (name,) = store.marker_names(GATHER_FOLDER)
    gathered = store.marker(marker_path(GATHER_FOLDER, name))
    assert gathered
    lists = {
        column: pa.FixedSizeListArray.from_arrays(
            pa.array(part.reshape(-1)), type=pa.list_(pa.float16(), WIDTH)
        )
        for column, part in (("image_embedding", images), ("text_embedding", texts))
    }
    path = embed_marker(folder, name)
    with store.writer(file := beside(path, VECTORS_SUFFIX)) as sink:
        pq.write_table(pa.table({"row": np.arange(len(images)), **lists}), sink)
    counts = {"embedded": len(images)}
    embedded = commit(store, path, Marker(gathered.rows, {file: sink.entry()}, counts))
    assert embedded
    path = embed_marker(scores_folder(recipe.embed), name)
    scoring = Scoring(prepared(recipe), scores.sources(recipe.embed), RECORD)
    score_commit.commit_scores(store, path, scoring, (gathered, embedded), unread)


def unread(ranges: Any) -> Iterator[NDArray[np.uint8]]:
    """Stands for reading images, which no head does."""
    raise AssertionError(ranges)


def prepared(recipe: Recipe) -> PreparedScorers:
    """Return what measures scores where there is no encoder: prompts tell nothing."""
    assert recipe.embed
    model = cast(Any, SimpleNamespace(dimensions=WIDTH, logit_scale=SCALE))
    nsfw = dict(recipe.embed.scores)["nsfw"]
    assert nsfw
    blind = scorers.PromptClasses(np.zeros((3, WIDTH), np.float32), SCALE)
    return PreparedScorers(
        prompts={MinorSafety.__name__: blind},
        columns={"nsfw": scorers.load("embed.scores.nsfw", nsfw, model)},
        concepts={},
        tags=None,
        tag_names=(),
        order=ordered(tuple(one for one in FILTERS if one.__name__ not in UNREAD)),
    )


def kept_by(made: Real, name: str) -> tuple[list[bool], str]:
    """Select by a preset; return which pairs it keeps, and what `select` says of its rate."""
    path = made.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made.recipe | {"keep": {"preset": name}}))
    recipe = load(path)
    (said,) = pass_rates(recipe, select.run(recipe, made.store, Serial(), name))
    with connect(made.store) as connection:
        attach(connection, made.store, selection=name)
        rows = connection.sql("SELECT keep FROM ledger ORDER BY row").fetchall()
    return [bool(keep) for (keep,) in rows], said


@pytest.fixture(scope="module")
def english(made: Real) -> list[bool]:
    """Return of which pairs the text is English as lid.176 has it."""
    return ask(made, "coalesce(language = 'en', false)")


@pytest.fixture(scope="module")
def safe(made: Real) -> list[bool]:
    """Return which pairs the rule on minors lets pass, which holds wherever there is a model."""
    return ask(made, "minor_safety <= 0.05")


def ask(made: Real, condition: str) -> list[bool]:
    recipe = Recipe.model_validate(made.recipe)
    with connect(made.store) as connection:
        attach(connection, made.store, scores_folders(recipe))
        rows = connection.sql(f"SELECT {condition} FROM ledger ORDER BY row").fetchall()
    return [bool(found) for (found,) in rows]


Judge = Callable[[Pair, bool], bool]  # of a pair, and whether its text is English
JUDGES: dict[str, Judge] = {
    "laion-400m": lambda p, en: len(p.text) >= 5 and p.is_large(1, 1000, 5000) and p.cosine >= 0.3,
    "laion-2b-en": lambda p, en: (
        en and len(p.text) >= 5 and p.is_large(1, 1000, 5000) and p.cosine >= 0.28
    ),
    "laion-multi": lambda p, en: (
        not en and len(p.text) >= 5 and p.is_large(1, 1000, 5000) and p.cosine >= 0.26
    ),
    "datacomp-basic": lambda p, en: en and p.words > 2 and len(p.text) > 5 and p.is_large(200, 3.0),
    "cc12m": lambda p, en: 3 <= p.words <= 256 and p.is_large(401, 2.5),
    "coyo-700m": lambda p, en: (
        en and 5 < len(p.text) <= 1000 and 3 <= p.words <= 256 and p.is_large(200, 3.0, 5000)
    ),
    "align": lambda p, en: 3 <= p.words <= 20 and p.is_large(201, 2.9999),
}


@pytest.mark.parametrize("name", JUDGES)
def test_a_preset_keeps_of_real_pairs_what_its_source_would(
    made: Real, english: list[bool], safe: list[bool], name: str
) -> None:
    kept, said = kept_by(made, name)
    judged = zip(made.pairs, english, safe, strict=True)
    expected = [JUDGES[name](pair, en) and well for pair, en, well in judged]
    assert kept == expected
    assert f"kept here, by all rules: {sum(kept) / 10:.1f} % of 1,000 pairs" in said


def test_a_third_by_score_is_almost_all_true_pairs(made: Real, safe: list[bool]) -> None:
    kept, said = kept_by(made, "datacomp-clip-l14-30")
    scores_of = [pair.cosine for pair in made.pairs]
    least = sorted(scores_of, reverse=True)[299]
    expected = [score >= least and well for score, well in zip(scores_of, safe, strict=True)]
    assert kept == expected
    assert sum(kept[500:]) == 0
    assert "published 30.0 %" in said


def test_every_text_of_laion_400m_is_as_long_as_its_preset_wants(real: Path) -> None:
    lines = (real / "laion_captions.tsv").read_text(encoding="utf-8").splitlines()
    texts = np.array([line.partition("\t")[0] for line in lines], object)
    rule = next(entry for entry in PRESETS["laion-400m"].keep if "caption_chars" in entry)
    chars = CaptionChars().measure(texts)
    assert len(chars) == 5000
    assert chars.min() >= rule["caption_chars"]["min_chars"] == 5
