"""A small finished dataset to look at, made without fetching: pairs, pictures, scores, copies."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from pairsieve.pipeline import embed, report, select
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.column import Column
from pairsieve.schemas.columns import EMBEDDED, GATHERED, GROUPED, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load

PAIRS, UNIT = 600, 200
SCRIPT = "<script>document.title = 'owned'</script> **bold**"
SQL_HOST = "'; DROP TABLE ledger; --<b>.example"
START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 200))
KEEP: list[dict[str, Any]] = [
    {"sharpness": {"min_sharpness": 0.3}},
    {"size": {"min_side_px": 200, "max_side_px": 900}},
    {"clip_similarity": {"min_similarity": 0.2}},
    {"duplicate": {}},
    {"where": "caption_words >= 2 OR caption_words IS NULL", "name": "worded"},
]


@dataclass(frozen=True)
class Finished:
    """The dataset, the file of its recipe, and that."""

    store: Store
    file: Path
    recipe: Recipe


def make(
    folder: Path, store: Store | None = None, minor_row: int | None = None, reported: bool = False
) -> Finished:
    """Make the dataset in a folder, or in a store, with the selection `default`.

    The protection of minors refuses the row `minor_row`; its report is made if asked for.
    """
    store = store or Store.at(folder / "dataset")
    file = folder / "recipe.yaml"
    content = {
        "input": {"path": "p"},
        "embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"},
        "keep": KEEP,
    }
    file.write_text(yaml.safe_dump(content))
    recipe = load(file)
    rows = _rows()
    for unit, start in enumerate(range(0, PAIRS, UNIT)):
        _put_unit(store, recipe, unit, rows[start : start + UNIT], minor_row)
    put(store, "group/0123456789ab.parquet", _grouped(), (ROW, *GROUPED), GROUP_MARKER)
    units = [[(0, start, UNIT)] for start in range(0, PAIRS, UNIT)]
    plan = Plan(store.url, PAIRS, True, False, "parquet", {"input": {"unit_pairs": UNIT}}, [], [],
                units, pa.schema([]), {})  # fmt: skip
    store.create("plan.json", plan.dumps())
    select.run(recipe, store, Serial(), "default")
    if reported:
        report.run(recipe, store, Serial(), "default")
    return Finished(store, file, recipe)


def with_vectors(made: Finished) -> Finished:
    """Embed the pictures of a dataset by the demo's model."""
    slices = made.store.marker_names(GATHER_FOLDER)
    for _ in embed.run(made.recipe, made.store, Serial(), slices):
        continue
    return made


def put(
    store: Store, path: str, rows: list[dict[str, Any]], columns: tuple[Column, ...], marker: str
) -> None:
    """Commit rows of a file."""
    with store.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema(columns)), sink)
    commit(store, marker, Marker(len(rows), {path: sink.entry()}, {}))


def _rows() -> list[dict[str, Any]]:
    """Return the rows of the ledger: one in ten failed, Thai pictures are less sharp."""
    random = np.random.default_rng(0)
    rows = []
    for row in range(PAIRS):
        ok, language = row % 10 != 9, ("en", "th", "de")[row % 3]
        text = SCRIPT if row == 7 else f"caption {row} of a thing"
        rows.append(
            {
                "row": row,
                "uid": f"{row:032x}",
                "url": f"http://h/{row}",
                "text": text,
                "host": SQL_HOST if row % 50 == 3 else ("a.example", "b.example")[row % 2],
                "retry_layer": 0,
                "outcome": "ok" if ok else "http_4xx",
                "detail": None if ok else "not found",
                "http_status": 200 if ok else 404,
                "attempts": 1,
                "fetched_at": START + timedelta(seconds=row),
                "fetch_ms": 10 + row % 7,
                "fetch_bytes": 1000 + row if ok else None,
                "sha256": f"{row % 590:064x}" if ok else None,
                "language": language,
                "caption_words": len(text.split()),
                "width": 150 + row if ok else None,
                "height": 500 if ok else None,
                "sharpness": round(random.random() * (0.5 if language == "th" else 1), 3)
                if ok and row % 97
                else None,
            }
        )
    return rows


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """Return a small picture."""
    sink = io.BytesIO()
    picture = Image.new("RGB", (48, 32), colour)
    picture.paste((255, 255, 255), (8, 8, 24, 24))
    picture.save(sink, "JPEG", quality=90)
    return sink.getvalue()


def _put_unit(
    store: Store, recipe: Recipe, unit: int, rows: list[dict[str, Any]], minor_row: int | None
) -> None:
    """Commit a unit: the ledger part, a tar with its pictures, the scores of the vectors."""
    bodies = [jpeg(colour) for colour in COLOURS]
    tar = f"gather/{unit:08d}.0123456789ab.tar"
    with store.writer(tar) as sink:
        sink.write(b"".join(bodies))
    for row in rows:
        body = bodies[row["row"] % 3]
        if row["outcome"] == "ok":
            row |= {
                "image_file": tar,
                "image_offset": sum(map(len, bodies[: row["row"] % 3])),
                "image_bytes": len(body),
                "image_checksum": of_image(body),
            }
    part = f"gather/{unit:08d}.0123456789ab.parquet"
    with store.writer(part) as table:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema(GATHERED)), table)
    outcomes = [row["outcome"] for row in rows]
    counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    files = {part: table.entry(), tar: sink.entry()}
    commit(store, f"gather/{unit:08d}.json", Marker(len(rows), files, counts))
    folder = f"embed/{scores_folders(recipe)['']}"
    scores = [
        {
            "row": row["row"],
            "clip_similarity": (row["row"] * 7 % 100) / 200,
            "nsfw": 0.9 if row["row"] % 40 == 0 else 0.01,
            "violence": 0.01,
            "minor_safety": 1.0 if row["row"] == minor_row else 0.0,
            "tag": ("cat", "dog")[row["row"] % 2],
        }
        for row in rows
        if row["outcome"] == "ok"
    ]
    name = f"{folder}/{unit:08d}.0123456789ab.scores.parquet"
    put(store, name, scores, (ROW, *EMBEDDED), f"{folder}/{unit:08d}.json")


def _grouped() -> list[dict[str, Any]]:
    """Return the copies: the first forty pictures are ten clusters of four."""
    rows = []
    for row in range(PAIRS):
        if row % 10 == 9:
            continue
        head = row % 10 if row < 40 else row
        rows.append(
            {
                "row": row,
                "cluster": head,
                "duplicate_of": None if head == row else f"{head:032x}",
                "duplicate_distance": None if head == row else 3,
                "placeholder_hosts": 6 if head == 2 else 1,
                "placeholder_captions": 7 if head == 2 else 1,
                "placeholder_unrelated": 0.9 if head == 2 else 0.0,
                "placeholder_repeated": 0.5 if head == 2 else 0.0,
            }
        )
    return rows
