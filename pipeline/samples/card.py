"""The card beside Parquet shards, from which `datasets` knows their parts and columns.

Source: the front matter of a dataset card, `configs` and `dataset_info`, in the documentation of
the Hugging Face Hub; `datasets.Features._to_yaml_list` for the form of the columns.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import yaml

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import shards_card
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.samples.parquet import IMAGE, SUFFIX
from pairsieve.schemas.recipe_shard import TRAIN

SHARDS = f"[0-9]*{SUFFIX}"  # and not the manifest beside them
WORDS = {  # Arrow's for a type, and theirs
    "float": "float32",
    "double": "float64",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
TEXT = """# Image-text pairs

Packed by pairsieve. `image` is the stored image, `text` its caption.

```python
from datasets import load_dataset

pairs = load_dataset("THIS_FOLDER", streaming=True)
```
"""


def write(store: Store, name: str, schema: pa.Schema, parts: Sequence[str]) -> Marker:
    """Write the card of the shards of a selection with these parts; return a marker that names it.

    It says nothing that changes where pairs are taken out or shards appended.
    """
    files = [{"split": part or TRAIN, "path": f"{part}/{SHARDS}".lstrip("/")} for part in parts]
    front = {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": [_named(field) for field in schema]},
    }
    data = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{TEXT}".encode()
    path = shards_card(name)
    store.write(path, data)
    return Marker(0, {path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}})


def _named(field: pa.Field) -> dict[str, Any]:
    kind = {"dtype": "image"} if field.name == IMAGE else _kind(field.type)
    return {"name": field.name, **kind}


def _kind(type: pa.DataType) -> dict[str, Any]:
    """Return what a card says of a type."""
    if pa.types.is_list(type):
        inner = _kind(type.value_type)
        return {"list": next(iter(inner.values())) if "list" not in inner else inner}
    if pa.types.is_struct(type):
        return {"struct": [_named(field) for field in type.fields]}
    return {"dtype": WORDS.get(str(type), str(type))}
