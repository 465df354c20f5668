"""The card says of every type of column what `datasets` finds in the files themselves."""

from pathlib import Path

import pyarrow as pa
import yaml
from datasets import Features

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.samples import card
from pairsieve.pipeline.samples.parquet import ParquetLayout, plain
from pairsieve.schemas.columns import COLUMNS

FROM_INPUTS = {
    "large": pa.large_string(),
    "when": pa.timestamp("us", "UTC"),
    "day": pa.date32(),
    "date": pa.date64(),
    "hour": pa.time64("us"),
    "lasted": pa.duration("ms"),
    "price": pa.decimal128(10, 2),
    "nested": pa.list_(pa.list_(pa.float32())),
    "sized": pa.list_(pa.float16(), 4),
    "boxes": pa.large_list(pa.struct([("x", pa.int32()), ("of", pa.list_(pa.string()))])),
    "by_name": pa.map_(pa.string(), pa.map_(pa.string(), pa.int8())),
    "coded": pa.dictionary(pa.int8(), pa.string()),
    "raw": pa.binary(),
}


def layout() -> ParquetLayout:
    types = {column.name: column.type for column in COLUMNS if column.name != "text"}
    fields = (pa.field(name, plain(type)) for name, type in (types | FROM_INPUTS).items())
    return ParquetLayout("jpg", tuple(fields))


def test_it_has_the_features_of_the_files(tmp_path: Path) -> None:
    schema = layout().schema
    marker = card.write(Store.at(tmp_path), "strict", schema, ["train", "val"])
    (path,) = marker.files
    _, front, text = (tmp_path / path).read_text().split("---\n", 2)
    told = yaml.safe_load(front)
    found = Features._from_yaml_list(told["dataset_info"]["features"])
    assert found == Features.from_arrow_schema(schema)
    assert found["image"].dtype == "PIL.Image.Image"
    (config,) = told["configs"]
    assert [file["split"] for file in config["data_files"]] == ["train", "val"]
    assert "load_dataset(" in text


def test_without_parts_all_is_to_train_on(tmp_path: Path) -> None:
    card.write(Store.at(tmp_path), "strict", layout().schema, [""])
    told = yaml.safe_load((tmp_path / "shards/strict/README.md").read_text().split("---\n")[1])
    files = [{"split": "train", "path": "[0-9]*.parquet"}]
    assert told["configs"] == [{"config_name": "default", "data_files": files}]


def test_maps_are_lists_of_key_and_value() -> None:
    pair = pa.struct([("key", pa.string()), ("value", pa.list_(pa.int64()))])
    assert plain(pa.map_(pa.string(), pa.large_list(pa.int64()))) == pa.list_(pair)
