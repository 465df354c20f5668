"""Which models made the vectors of a dataset: told from what they left beside them.

A threshold without its model means nothing. The record of a model is written once, before its first
vectors, because a model may be added long after the plan, which never changes.
"""

import json
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import EMBED_FOLDER, model_record, vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.vectors.folders import folder, model_name
from pairsieve.schemas.columns import (
    ROW,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed


def recorded(store: Store, name: str) -> dict[str, Any]:
    """Return which model makes the vectors of a folder; nothing where there are none yet.

    Before precisions could be chosen it was fp32.
    """
    try:
        record: dict[str, Any] = json.loads(store.read(model_record(name)))
    except FileNotFoundError:
        return {}
    return {"precision": "fp32"} | record


def models(store: Store) -> dict[str, dict[str, Any]]:
    """Return the record of each model that made vectors, by the name of its folder."""
    return {name: recorded(store, name) for name in store.marker_names(EMBED_FOLDER)}


def sentences(store: Store) -> list[str]:
    """Return a sentence per model: its fingerprints, its precision, and how busy it was kept."""
    said = []
    for name, record in models(store).items():
        extras = [marker.extra for marker in store.markers(vectors_folder(name)).values()]
        spent, lasted = (sum(one.get(key, 0) for one in extras) for key in ("model_s", "seconds"))
        busy = f"; it computed {spent / lasted:.0%} of the time" if lasted else ""
        said.append(
            f"Scores on vectors are measured with {record['model']} ({record['pretrained']}) in "
            f"{record['precision']}: sha256 of the weights {record['weights_sha256']}, "
            f"of preprocessing and tokenizer {record['settings_sha256']}{busy}."
        )
    return said


def stamped(table: pa.Table, record: dict[str, Any]) -> pa.Table:
    """Return the table with the model's record in the metadata of every column it made."""
    stamp = {f"model.{key}": str(value) for key, value in sorted(record.items())}
    fields = [
        field
        if field.name == ROW.name
        else field.with_metadata({**(field.metadata or {}), **stamp})
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def loaded(store: Store, options: Embed) -> clip.Model:
    """Return the loaded model, if it is the one that made the vectors in its folder."""
    return claimed(store, folder(options), options)[0]


def claimed(store: Store, name: str, options: Embed) -> tuple[clip.Model, dict[str, Any]]:
    """Return the loaded model and what its folder says of it; refuse another than made that."""
    model = clip.load(options, recorded(store, name).get("precision"))
    taken = _claim(store, name, options, model)
    if taken["precision"] != model.precision:  # another machine's choice was the first
        model = clip.load(options, taken["precision"])
    return model, taken


def _claim(store: Store, name: str, options: Embed, model: clip.Model) -> dict[str, Any]:
    """Put down which model makes the vectors of a folder; return what holds, refuse any other."""
    mine = {
        "model": model_name(options.model),
        "pretrained": model_name(options.pretrained),
        "dimensions": model.dimensions,
        "logit_scale": model.logit_scale,
        "logit_bias": model.logit_bias,
        "weights_sha256": model.weights,
        "settings_sha256": model.settings,
        "precision": model.precision,
    }
    if store.create(model_record(name), json.dumps(mine, indent=1).encode()):
        return mine
    theirs = recorded(store, name)
    free = {"precision"} if options.precision == "auto" else set()
    other = [key for key in mine.keys() - free if theirs.get(key) != mine[key]]
    if other:
        key = min(other, key=list(mine).index)
        raise BadOption(
            f"embed: {store.location(model_record(name))} says that the vectors there were made by "
            f"another model of this name: {key} was {theirs.get(key)}, is {mine[key]}; to embed "
            "anew, delete that file and the folder beside it"
        )
    return theirs
