"""Croissant 1.1: what files the shards are, and what a record in them has, as JSON-LD.

Paths are relative to the folder of the shards, beside which the file is to lie. Every shard is
listed with size and SHA-256 up to `MOST_LISTED`; of more, the manifests have the checksums.

Source: Croissant Format Specification 1.1, http://mlcommons.org/croissant/1.1.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.cards.facts import Facts
from pairsieve.pipeline.dataset.paths import MANIFEST
from pairsieve.pipeline.dataset.shard_names import file_of_shard, is_manifest, is_shard
from pairsieve.schemas.columns import ROW, SHARD, SHARD_OFFSET, UID

MOST_LISTED = 1000  # shards
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TAR, PARQUET = "application/x-tar", "application/x-parquet"
SHARDS, IMAGES, TEXTS = "shard-files", "image-files", "text-files"  # ids of sets of files
IMAGE_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def croissant(facts: Facts, image_suffix: str, columns: pa.Schema | None) -> str:
    """Return the JSON-LD.

    Args:
        facts: What is known; there must be shards.
        image_suffix: Of the images in tars.
        columns: Of Parquet shards; None for tars.
    """
    assert facts.shards
    files = {
        file_of_shard(facts.name, path): entry
        for path, entry in facts.shards.files.items()
        if is_shard(path) or is_manifest(path)
    }
    whole = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": re.sub(r"[^\w .-]+", "-", facts.title),
        "description": facts.about.description or "Image-text pairs, packed by pairsieve.",
        **_said(facts),
        "distribution": list(_distribution(files, image_suffix, columns)),
        "recordSet": list(_record_sets(files, columns)),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _said(facts: Facts) -> dict[str, Any]:
    """Return what the publisher says; the rest is left out, as unknown."""
    about = facts.about
    creator = {"@type": "sc:Organization", "name": about.creator} if about.creator else None
    said = {
        "license": about.licence,
        "url": about.url,
        "version": about.version,
        "citeAs": about.cite,
        "creator": creator,
        "datePublished": about.published.isoformat() if about.published else None,
        "rai:dataCollection": about.collection,
        "rai:dataUseCases": about.purpose,
    }
    return {key: value for key, value in said.items() if value is not None}


def _distribution(
    files: Mapping[str, Mapping[str, Any]], image_suffix: str, columns: pa.Schema | None
) -> Iterator[dict[str, Any]]:
    listed = _listed(files)
    for path, entry in files.items():
        if path in listed or _is_manifest(path):
            yield {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": path,
                "contentSize": f"{entry['bytes']} B",
                "encodingFormat": TAR if path.endswith(".tar") else PARQUET,
                "sha256": entry["sha256"],
            }
    if columns is not None or not listed:
        pattern = "*.tar" if columns is None else "[0-9]*.parquet"
        kind = TAR if columns is None else PARQUET
        folders = sorted({path.rpartition("/")[0] for path in _shards(files)})
        yield _file_set(SHARDS, kind, [f"{f}/{pattern}".lstrip("/") for f in folders])
    if columns is None:
        within = [{"@id": path} for path in listed] or [{"@id": SHARDS}]
        image = IMAGE_TYPES[image_suffix]
        for name, kind, pattern in (
            (IMAGES, image, f"*.{image_suffix}"),
            (TEXTS, "text/plain", "*.txt"),
        ):
            yield _file_set(name, kind, [pattern]) | {"containedIn": within}


def _file_set(name: str, kind: str, includes: list[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": kind,
        "includes": includes[0] if len(includes) == 1 else includes,
    }


def _listed(files: Mapping[str, Any]) -> list[str]:
    """Return the shards that are listed one by one; none where they are too many."""
    shards = _shards(files)
    return shards if len(shards) <= MOST_LISTED else []


def _record_sets(files: Mapping[str, Any], columns: pa.Schema | None) -> Iterator[dict[str, Any]]:
    for path in filter(_is_manifest, files):
        of = {"fileObject": {"@id": path}}
        name = path.removesuffix(".parquet").replace("/", "-")
        yield _record_set(
            name,
            "Which sample lies in which shard.",
            [
                _column(name, column.name, column.type, column.doc, of)
                for column in MANIFEST_COLUMNS
            ],
        )
    if columns is None:
        yield _of_files("images", IMAGES, "image", "sc:ImageObject")
        yield _of_files("texts", TEXTS, "text", "sc:Text")
        return
    of = {"fileSet": {"@id": SHARDS}}
    fields = [_column("pairs", f.name, f.type, f.name, of) for f in columns if _shown(f.type)]
    yield _record_set("pairs", "A row per pair.", fields)


MANIFEST_COLUMNS = (ROW, UID, SHARD, SHARD_OFFSET)


def _record_set(name: str, description: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "field": fields,
    }


def _of_files(name: str, files: str, what: str, data_type: str) -> dict[str, Any]:
    """Return the records of a file per sample: its uid, and what is in it."""
    of: dict[str, Any] = {"fileSet": {"@id": files}}
    key = of | {
        "extract": {"fileProperty": "filename"},
        "transform": {"regex": r"([^/.]+)\.[^/]*$"},
    }
    content = of | {"extract": {"fileProperty": "content"}}
    return _record_set(
        name,
        f"The {what} of each pair.",
        [
            _field(name, "uid", "sc:Text", "Which pair.", key),
            _field(name, what, data_type, f"Its {what}.", content),
        ],
    )


def _column(
    record_set: str, name: str, type: pa.DataType, doc: str, of: Mapping[str, Any]
) -> dict[str, Any]:
    source: dict[str, Any] = {**of, "extract": {"column": name}}
    if pa.types.is_struct(type):  # an image: its bytes, beside a path
        source["transform"] = {"jsonPath": "bytes"}
    return _field(record_set, name, data_type(type), doc, source)


def _field(
    record_set: str, name: str, data_type: str, doc: str, source: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": doc,
        "dataType": data_type,
        "source": dict(source),
    }


def data_type(type: pa.DataType) -> str:
    """Return the type of Croissant for one of Arrow's."""
    if pa.types.is_struct(type):
        return "sc:ImageObject"
    if pa.types.is_boolean(type):
        return "sc:Boolean"
    if pa.types.is_integer(type):
        return "sc:Integer"
    if pa.types.is_floating(type):
        return "sc:Float"
    return "sc:DateTime" if pa.types.is_timestamp(type) else "sc:Text"


def _shown(type: pa.DataType) -> bool:
    """Return whether a column has a type that Croissant can say: no list, no map."""
    return not (pa.types.is_nested(type) and not pa.types.is_struct(type))


def _shards(files: Mapping[str, Any]) -> list[str]:
    """Return the shards among these files, of which the others are manifests."""
    return [path for path in files if not _is_manifest(path)]


def _is_manifest(path: str) -> bool:
    return path.rpartition("/")[2] == MANIFEST
