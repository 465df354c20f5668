"""Learn: a head that tells good pairs from bad ones, from pairs that a person has marked.

The head is a score like any other: `embed: {concepts: {good: {head: good.safetensors}}}`. How well
it does is told by predictions for pairs that it was not learnt from, beside what the cosine alone
does on the same pairs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.pipeline.dataset.paths import LABELS_FOLDER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning import (
    calibration,
    cross_validation,
    label_files,
    labels,
    pool_scores,
    two_layers,
)
from pairsieve.pipeline.learning.cross_validation import FOLDS, Learned, auc
from pairsieve.pipeline.learning.intervals import wilson
from pairsieve.pipeline.learning.labels import Marked
from pairsieve.pipeline.learning.logistic import sigmoid
from pairsieve.pipeline.vectors import pair_head, reader
from pairsieve.pipeline.vectors.model_record import read_record
from pairsieve.pipeline.vectors.pair_head import SCORES, PairHead
from pairsieve.schemas.errors import BadOption

MOST_UNITS = 256  # of a hidden layer


def run(
    store: Store,
    file: Path | None,
    name: str,
    columns: Sequence[str] = (),
    model: str | None = None,
    hidden: int | None = None,
) -> PairHead:
    """Return the head learnt from the labels in a file; without one, from those in the dataset.

    It is a logistic regression, or, with so many `hidden` units, a network of two layers.

    Raises:
        BadOption: the file or a column cannot be used, there are too few labels, or no vectors.
    """
    labels.check_columns(columns)
    if hidden is not None and not 1 <= hidden <= MOST_UNITS:
        raise BadOption(f"--hidden: {hidden}: a hidden layer has 1 to {MOST_UNITS} units")
    said = labels.read(file) if file else _of_dataset(store)
    folder = reader.choose_folder(store, model)
    marked = labels.marked(store, folder, said, columns)
    filled = np.where(np.isnan(marked.values), np.inf, marked.values)
    known = [column[np.isfinite(column)] for column in filled.T]
    means = np.array([column.mean() if len(column) else 0.0 for column in known])
    values = np.where(np.isnan(marked.values), means, marked.values)
    features = pair_head.features(marked.images, marked.texts, values)
    blocks = [*[marked.images.shape[1]] * 3, *[1] * (1 + len(columns))]
    told = features, marked.labels, marked.folds(FOLDS), blocks
    learned = logistic = cross_validation.learn(*told)
    if hidden:
        learned = cross_validation.learn(*told, partial(two_layers.fit, units=hidden))
    record: dict[str, Any] = {
        "name": name,
        "model": read_record(store, folder).to_json(),
        "data": {
            "labels": file.name if file else LABELS_FOLDER,
            "sha256": _sha256(file) if file else labels.digest(said),
        }
        | _data(marked),
        "evaluation": evaluation(marked, learned),
    }
    if hidden:
        record["hidden"] = hidden
        record["evaluation"]["auc_of_logistic"] = auc(logistic.logits, marked.labels)
    head = PairHead(learned.network, means, tuple(columns), record)
    return replace(head, record=record | {SCORES: pool_scores.measured(store, folder, head)})


def _of_dataset(store: Store) -> dict[str, bool]:
    """Return the labels that were given in `explore`; BadOption without any."""
    said = label_files.by_uid(store)
    if not said:
        raise BadOption(
            f"--labels: no pair has a label in {store.url}; the page Label of `pairsieve explore` "
            "gives them, or name a file of uid and label"
        )
    return said


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _data(marked: Marked) -> dict[str, Any]:
    """Return what the head was learnt from."""
    return {
        "pairs": len(marked.uids),
        "good": int(marked.labels.sum()),
        "without_vectors": marked.missing,
    }


def evaluation(marked: Marked, learned: Learned) -> dict[str, Any]:
    """Return how well pairs are told apart by a head that has not seen them.

    Precision and recall are those of a probability of at least 0.5, each with its 95 % interval;
    of the calibration, each bin of predicted probabilities has its pairs, their mean and the share
    of good ones.
    """
    chosen = learned.logits >= 0
    hits = int((chosen & marked.labels).sum())
    cosines = pair_head.features(marked.images, marked.texts, marked.values[:, :0])[:, -1]
    return {
        "folds": FOLDS,
        "penalty": learned.strength,
        "precision": wilson(hits, int(chosen.sum())),
        "recall": wilson(hits, int(marked.labels.sum())),
        "auc": auc(learned.logits, marked.labels),
        "auc_of_clip_similarity": auc(cosines, marked.labels),
        "calibration": calibration.bins(sigmoid(learned.logits), marked.labels),
    }


def sentences(head: PairHead) -> list[str]:
    """Return in words how well a head does."""
    data, found = head.record["data"], head.record["evaluation"]
    lines = [
        f"{data['pairs']} marked pairs, {data['good']} of them good"
        + (f"; {data['without_vectors']} have no vectors here" if data["without_vectors"] else ""),
        f"Predicted by a head that has not seen the pair, in {found['folds']} folds:",
        *(f"  {what:10} {_percent(found[what])}" for what in ("precision", "recall")),
        f"  AUC        {found['auc']:.3f}, of clip_similarity alone "
        f"{found['auc_of_clip_similarity']:.3f}" + _of_logistic(found),
    ]
    scores = head.record[SCORES]
    low, middle, high = scores["quantiles"].values()
    return [
        *lines,
        *calibration.lines(found["calibration"]),
        f"Of {scores['pairs']:,} pairs here 5 % score below {low:.2f}, half below {middle:.2f}, "
        f"95 % below {high:.2f}",
    ]


def _of_logistic(found: Mapping[str, Any]) -> str:
    """Return how well one layer does, where there are two."""
    if "auc_of_logistic" not in found:
        return ""
    return f", of a logistic regression {found['auc_of_logistic']:.3f}"


def _percent(share: Sequence[float]) -> str:
    return f"{share[0]:.1%}, 95 % interval {share[1]:.1%} to {share[2]:.1%}"
