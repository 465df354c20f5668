"""Search: the pairs whose images are nearest to a text or a picture, told from the stored vectors.

The query is embedded by the model that made the vectors, and by no other: the dataset says which it
was, with the SHA-256 of its weights. Of local files it knows only the names, so the recipe must say
where they are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pairsieve.filters import FILTERS
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.stats.page import TEXT_SHOWN, render
from pairsieve.pipeline.stats.thumbnails import thumbnail
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.folders import folder
from pairsieve.pipeline.vectors.index import EXACT_ROWS, Nearest, check, nearest
from pairsieve.pipeline.vectors.model_record import recorded
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed, Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEVER_SHOWN = "minor_safety"  # a rule: no picture is shown of what it drops


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a text, or the picture in a file."""

    text: str | None = None
    image: Path | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise BadOption("search: give a text, or --image FILE, and not both")

    def __str__(self) -> str:
        """Return the query as the page tells it."""
        return self.text if self.text is not None else str(self.image)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found.

    Attributes:
        query: What was looked for.
        model: Folder of the model.
        rows: How many images were searched.
        exact: True when none can have been missed.
        pairs: The pairs, nearest first: columns of the ledger, `rank`, `cosine` and `verdict`.
    """

    query: Query
    model: str
    rows: int
    exact: bool
    pairs: list[dict[str, Any]]


def run(
    store: Store,
    query: Query,
    recipe: Recipe | None = None,
    model: str | None = None,
    selection: str = "default",
    count: int = 20,
    exact_rows: int = EXACT_ROWS,
) -> Found:
    """Return the `count` pairs whose images are nearest to the query.

    Args:
        store: The dataset.
        query: A text or a picture.
        recipe: Says where the files of a local model are; None for a model of open_clip's.
        model: Folder of the model; None for the recipe's, or the only one.
        selection: Whose verdicts to tell, where it exists.
        count: How many pairs.
        exact_rows: Up to so many rows all are compared.

    Raises:
        BadOption: the model that made the vectors cannot be had, or the picture cannot be read.
    """
    if model is None and recipe and recipe.embed:
        model = folder(recipe.embed)
    name = reader.chosen(store, model)
    options = _options(store, name, recipe)
    searched = sum(unit.rows for unit in reader.units(store, name))
    check(searched, exact_rows)
    asked = _embedded(query, _loaded(store, name, options))
    found = nearest(store, name, asked, count, exact_rows)
    with connect(store) as connection:
        attach(connection, store, reader.scored(store, name), selection)
        pairs = _pairs(connection, found)
    return Found(query, name, searched, found.exact, pairs)


def page(store: Store, found: Found) -> str:
    """Return the page with the pictures that were found."""
    seen = [pair for pair in found.pairs if pair["image_file"] and not pair["withheld"]]
    places = [(pair["image_file"], pair["image_offset"], pair["image_bytes"]) for pair in seen]
    bodies = dict(zip((pair["row"] for pair in seen), store.read_places(places), strict=True))
    shown = [
        pair
        | {
            "thumbnail": thumbnail(bodies[pair["row"]]) if pair["row"] in bodies else None,
            "facts": [
                (f"{pair['rank']}. cosine", f"{pair['cosine']:.4f}"),
                ("verdict", pair["verdict"]),
            ],
        }
        for pair in found.pairs
    ]
    content = {
        "query": str(found.query),
        "kind": "picture" if found.query.image else "text",
        "model": found.model,
        "rows": found.rows,
        "exact": found.exact,
        "found": shown,
    }
    return render("search.html.j2", content)


def _options(store: Store, name: str, recipe: Recipe | None) -> Embed:
    """Return how to load the model that made the vectors of a folder."""
    if recipe:
        for options in recipe.models:
            if folder(options) == name:
                return options
        raise BadOption(f"--recipe: names no model whose vectors are in {store.location('embed')}")
    told = recorded(store, name)
    options = Embed(model=told["model"], pretrained=told["pretrained"])
    if folder(options) != name:
        raise BadOption(
            f"search: the vectors in {store.location(f'embed/{name}')} were made by local files, "
            f"{told['model']} and {told['pretrained']}; say where these are: --recipe RECIPE"
        )
    return options


def _loaded(store: Store, name: str, options: Embed) -> clip.Model:
    """Return the model, if it is the one that made the vectors of a folder."""
    told = recorded(store, name)
    model = clip.load(options.model_copy(update={"batch": 1}), told.get("precision"))
    theirs = told["weights_sha256"], told["settings_sha256"]
    if theirs != (model.weights, model.settings):
        raise BadOption(
            f"search: the vectors in {store.location(f'embed/{name}')} were made by another model "
            f"of this name, with weights {theirs[0][:16]}, not {model.weights[:16]}"
        )
    return model


def _embedded(query: Query, model: clip.Model) -> Vectors:
    """Return the vector of the query, (d,), of length 1."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if query.text is not None:
        (vector,) = model.texts([query.text])
        return np.asarray(vector, np.float32)
    assert query.image is not None
    try:
        with Image.open(query.image) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadOption(f"--image: {query.image}: not a readable picture: {error}") from error
    (vector,) = model.images([pixels])
    return np.asarray(vector, np.float32)


def _pairs(connection: "DuckDBPyConnection", found: Nearest) -> list[dict[str, Any]]:
    """Return the ledger's rows that were found, in order, with long texts cut.

    `withheld` is true of a pair whose picture must not be shown.
    """
    unsafe = [f().rule() for f in FILTERS if f.__module__.endswith(f".{NEVER_SHOWN}")]
    withheld = [
        "blocked IS NOT NULL",
        f"coalesce(list_contains(failing, '{NEVER_SHOWN}'), false)",
        *(f"NOT coalesce({condition}, false)" for condition in unsafe),
    ]
    query = f"""
        SELECT row, uid, substr(url, 1, {TEXT_SHOWN + 1}) AS url,
               substr(text, 1, {TEXT_SHOWN + 1}) AS text,
               image_file, image_offset, image_bytes,
               CASE WHEN keep THEN 'kept' ELSE coalesce(first_failing, 'not judged') END AS verdict,
               {" OR ".join(withheld)} AS withheld
        FROM ledger WHERE row IN (SELECT unnest(?))
        """
    by_row = {pair["row"]: pair for pair in rows(connection, query, [found.rows])}
    return [
        by_row[row] | {"rank": rank, "cosine": cosine}
        for rank, (row, cosine) in enumerate(zip(found.rows, found.cosines, strict=True), 1)
    ]
