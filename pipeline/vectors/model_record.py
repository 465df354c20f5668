"""Which models made the vectors of a dataset: the record that each leaves beside its folder.

A threshold on a score means nothing without the model that measured it. The record is written once,
before the model's first vectors and not in the plan, because a model may be added long after the
plan, which never changes. Whoever writes it first decides: weights, settings and precision of every
later run must be the same, so vectors of two models never mix under one name.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.paths import EMBED_FOLDER, model_record, vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.vectors.folders import model_folder, model_name
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.columns import ROW
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is kept of the model that made the vectors of a folder.

    Attributes:
        model: Name of the architecture, or of its config file.
        pretrained: Tag of the weights, or the name of their file.
        dimensions: Length of a vector.
        logit_scale: What cosines are multiplied by before a softmax: the inverse temperature.
        logit_bias: What SigLIP adds after that; 0 for models without one.
        weights_sha256: Of the weights, hex.
        settings_sha256: Of architecture, preprocessing and tokenizer, hex.
        precision: Numbers it computed in. Records from before precisions could be chosen say
            nothing: it was fp32.
    """

    model: str
    pretrained: str
    dimensions: int
    logit_scale: float
    logit_bias: float
    weights_sha256: str
    settings_sha256: str
    precision: str = "fp32"

    @classmethod
    def of(cls, options: Embed, model: ClipModel) -> Self:
        """Return the record of a loaded model."""
        return cls(
            model=model_name(options.model),
            pretrained=model_name(options.pretrained),
            dimensions=model.dimensions,
            logit_scale=model.logit_scale,
            logit_bias=model.logit_bias,
            weights_sha256=model.weights_sha256,
            settings_sha256=model.settings_sha256,
            precision=model.precision,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the record that `to_json` made."""
        return cls(**content)

    def to_json(self) -> dict[str, str | int | float]:
        """Return the fields by name, in the order in which they are written."""
        return asdict(self)

    def column_metadata(self) -> dict[str, str]:
        """Return the fields as the Parquet metadata of a column that the model made."""
        return {f"model.{key}": str(value) for key, value in sorted(self.to_json().items())}


def find_record(store: Store, folder: str) -> ModelRecord | None:
    """Return the record of the model with that folder, None where no model has claimed it yet.

    Raises:
        Stopped: it is damaged.
    """
    try:
        return ModelRecord.from_json(checked_json.loads(store.read(model_record(folder))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        path = store.location(model_record(folder))
        raise Stopped(f"{path}: damaged: {error}; put a copy back") from error


def read_record(store: Store, folder: str) -> ModelRecord:
    """Return the record of the model that made the vectors of a folder.

    Raises:
        Stopped: the record is gone.
    """
    record = find_record(store, folder)
    if record is None:
        raise Stopped(f"{store.location(model_record(folder))}: gone, and there are vectors beside")
    return record


def read_records(store: Store) -> dict[str, ModelRecord]:
    """Return the record of each model that made vectors, by the name of its folder."""
    return {name: read_record(store, name) for name in store.marker_names(EMBED_FOLDER)}


def model_sentences(store: Store) -> list[str]:
    """Return a sentence per model: its fingerprints, its precision, and how busy it was kept."""
    sentences = []
    for name, record in read_records(store).items():
        markers = store.markers(vectors_folder(name)).values()
        times = [EmbedTime.from_json(marker.extra) for marker in markers]
        seconds = sum(time.seconds for time in times)
        share = sum(time.model_s for time in times) / seconds if seconds else 0
        busy = f"; it computed {share:.0%} of the time" if seconds else ""
        sentences.append(
            f"Scores on vectors are measured with {record.model} ({record.pretrained}) in "
            f"{record.precision}: sha256 of the weights {record.weights_sha256}, "
            f"of preprocessing and tokenizer {record.settings_sha256}{busy}."
        )
    return sentences


def with_model_metadata(table: pa.Table, record: ModelRecord) -> pa.Table:
    """Return the table with the model's record in the metadata of every column it made."""
    metadata = record.column_metadata()
    fields = [
        field
        if field.name == ROW.name
        else field.with_metadata({**(field.metadata or {}), **metadata})
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def load_model(store: Store, options: Embed) -> ClipModel:
    """Return the loaded model, if it is the one that made the vectors in its folder."""
    return claim_folder(store, model_folder(options), options)[0]


def claim_folder(store: Store, folder: str, options: Embed) -> tuple[ClipModel, ModelRecord]:
    """Return the loaded model and the record of its folder, written now if there is none.

    Raises:
        BadOption: the model cannot be had, or another one made the vectors of the folder.
    """
    earlier = find_record(store, folder)
    model = clip.load(options, earlier.precision if earlier else None)
    record = _claim(store, folder, options, ModelRecord.of(options, model))
    if record.precision != model.precision:  # another machine's choice was the first
        model = clip.load(options, record.precision)
    return model, record


def _claim(store: Store, folder: str, options: Embed, record: ModelRecord) -> ModelRecord:
    """Write the record unless there is one; return the one that holds, refuse any other model."""
    path = model_record(folder)
    if store.create(path, checked_json.dumps(record.to_json(), indent=1)):
        return record
    earlier = read_record(store, folder)
    before = earlier.to_json()
    chosen_here = "precision" if options.precision == "auto" else None
    for key, value in record.to_json().items():
        if key != chosen_here and before[key] != value:
            raise BadOption(
                f"embed: {store.location(path)} says that the vectors there were made by another "
                f"model of this name: {key} was {before[key]}, is {value}; to embed anew, delete "
                "that file and the folder beside it"
            )
    return earlier
