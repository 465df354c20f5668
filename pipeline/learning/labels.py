"""Pairs that a person has marked: a file of uid and label, and what the dataset knows of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.pipeline.vectors import reader
from pairsieve.schemas.columns import GATHERED, IMAGE_EMBEDDING, TEXT_EMBEDDING
from pairsieve.schemas.errors import BadOption, nearest

LEAST = 10  # of good and of bad pairs
WORDS = {"1": True, "true": True, "yes": True, "good": True, "keep": True}
WORDS |= {"0": False, "false": False, "no": False, "bad": False, "drop": False}
NUMERIC = {
    c.name: c
    for c in GATHERED
    if (pa.types.is_integer(c.type) or pa.types.is_floating(c.type)) and c.unit not in ("", "hash")
}


@dataclass(frozen=True)
class Marked:
    """Marked pairs with vectors, in the order of their uids.

    Attributes:
        uids: Of the pairs, (n,).
        labels: True for good ones, (n,).
        images: Vectors, (n, d).
        texts: Vectors, (n, d).
        values: Of the columns that were asked for; NaN for null, (n, columns).
        missing: How many marked pairs have no vectors in the dataset.
    """

    uids: list[str]
    labels: NDArray[np.bool_]
    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    values: NDArray[np.float64]
    missing: int

    def folds(self, count: int) -> NDArray[np.int64]:
        """Return in which fold each pair is, by the hash of its uid: as many of a label in each."""
        keys = [hashlib.blake2b(uid.encode(), digest_size=8).digest() for uid in self.uids]
        folds = np.zeros(len(keys), np.int64)
        for label in (False, True):
            chosen = sorted(np.flatnonzero(self.labels == label), key=lambda index: keys[index])
            folds[chosen] = np.arange(len(chosen)) % count
        return folds


def read(path: Path) -> dict[str, bool]:
    """Return the labels of a Parquet or CSV file with the columns `uid` and `label`, by uid.

    Raises:
        BadOption: it cannot be read, a label is no yes or no, or a uid has two.
    """
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".csv":
            kinds = csv.ConvertOptions(column_types={"uid": pa.string(), "label": pa.string()})
            table = csv.read_csv(path, convert_options=kinds)
        else:
            table = pq.read_table(path)
        rows = table.select(["uid", "label"]).to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BadOption(
            f"--labels: {path}: not Parquet or CSV with the columns `uid` and `label`: "
            f"{str(error)[:200]}"
        ) from error
    labels: dict[str, bool] = {}
    for number, row in enumerate(rows):
        label = _label(row["label"])
        if label is None:
            raise BadOption(f"--labels: {path}: row {number}: {row['label']!r} is no yes or no")
        if labels.setdefault(str(row["uid"]), label) != label:
            raise BadOption(f"--labels: {path}: {row['uid']} is marked both good and bad")
    return labels


def digest(labels: dict[str, bool]) -> str:
    """Return the SHA-256 of labels, hex: the same for the same ones, in whatever order."""
    lines = "".join(f"{uid},{int(good)}\n" for uid, good in sorted(labels.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _label(value: Any) -> bool | None:
    """Return what a label says."""
    if isinstance(value, float) and value in (0, 1):
        value = int(value)
    return WORDS.get(str(value).strip().lower())


def check_columns(columns: Sequence[str]) -> None:
    """Refuse columns that are no measures of `gather`; BadOption says which there are."""
    for name in columns:
        if name not in NUMERIC:
            raise BadOption(
                f"--columns: no measure of `gather`: `{name}`; {nearest(name, list(NUMERIC))}"
            )


def marked(store: Store, folder: str, labels: dict[str, bool], columns: Sequence[str]) -> Marked:
    """Return the marked pairs that have vectors in a model's folder.

    Raises:
        BadOption: too few of either label have.
    """
    rows, found = _rows(store, list(labels), columns)
    places, images, texts = _vectors(store, folder, rows)
    uids = [found[place][0] for place in places]
    kept = np.array([labels[uid] for uid in uids], bool)
    order = np.argsort(np.array(uids))
    if min(kept.sum(), (~kept).sum()) < LEAST:
        raise BadOption(
            f"--labels: of {len(labels)} marked pairs {len(uids)} have vectors here, "
            f"{int(kept.sum())} of them good; mark at least {LEAST} good and {LEAST} bad ones"
        )
    values = np.array([found[place][1:] for place in places], np.float64)
    return Marked(
        [uids[index] for index in order],
        kept[order],
        images[order],
        texts[order],
        values.reshape(len(uids), len(columns))[order],
        len(labels) - len(uids),
    )


def _rows(
    store: Store, uids: list[str], columns: Sequence[str]
) -> tuple[NDArray[np.int64], list[tuple[Any, ...]]]:
    """Return the rows of uids, ascending, each the first with it, and of each uid and columns."""
    listed = "".join(f", {identifier(name)}::DOUBLE" for name in columns)
    with connect(store) as connection:
        attach(connection, store)
        connection.register("marked", pa.table({"uid": pa.array(uids, pa.string())}))
        query = (
            f"SELECT row, uid{listed} FROM ledger SEMI JOIN marked USING (uid) "
            "QUALIFY row_number() OVER (PARTITION BY uid ORDER BY row) = 1 ORDER BY row"
        )
        found = connection.execute(query).fetchall()
    rows = np.array([row for row, *_ in found], np.int64)
    return rows, [(uid, *(np.nan if v is None else v for v in more)) for _, uid, *more in found]


def _vectors(
    store: Store, folder: str, rows: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32]]:
    """Return which of the rows have vectors, by index, and these."""
    places: list[int] = []
    images, texts = [], []
    for unit in reader.units(store, folder):
        own, _ = reader.read(store, unit, ())
        there = np.flatnonzero(np.isin(own, rows))
        if not len(there):
            continue
        stored, of_images = reader.read_at(store, unit, there, IMAGE_EMBEDDING)
        _, of_texts = reader.read_at(store, unit, there, TEXT_EMBEDDING)
        places += np.searchsorted(rows, stored).tolist()
        images.append(of_images.astype(np.float32))
        texts.append(of_texts.astype(np.float32))
    if not places:
        return [], np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32)
    return places, np.concatenate(images), np.concatenate(texts)
