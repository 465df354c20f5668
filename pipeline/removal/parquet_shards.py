"""Parquet shards without the samples and captions that leave them."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.removal.replacement import with_values
from pairsieve.pipeline.removal.samples import Rest
from pairsieve.pipeline.samples.parquet import opened
from pairsieve.schemas.columns import CAPTIONS, TEXT, UID


def write(source: Any, sink: HashingWriter, rest: Rest) -> list[int]:
    """Write what is left of a Parquet shard to another; return the row of each sample."""
    old = pq.ParquetFile(source, page_checksum_verification=True)
    rows = 0
    with opened(sink, old.schema_arrow) as writer:
        for group in range(old.num_row_groups):
            table = old.read_row_group(group)
            stays = [uid not in rest.dropped for uid in table[UID.name].to_pylist()]
            left = _shorter(table.filter(pa.array(stays, pa.bool_())), rest)
            rows += len(left)
            if len(left):
                writer.write_table(left)
    return list(range(rows))


def _shorter(table: pa.Table, rest: Rest) -> pa.Table:
    """Return samples whose text and list of captions lack those that leave."""
    uids = table[UID.name].to_pylist()
    if rest.leaving.keys().isdisjoint(uids):
        return table
    own = table[TEXT.name].to_pylist()
    texts = [rest.text(uid, text) for uid, text in zip(uids, own, strict=True)]
    table = with_values(table, TEXT.name, texts)
    if CAPTIONS.name not in table.column_names:
        return table
    captions = table[CAPTIONS.name].to_pylist()
    for index, uid in enumerate(uids):
        if (leaving := rest.leaving.get(uid)) and captions[index]:
            captions[index] = _left(captions[index], own[index], texts[index], leaving, rest)
    return with_values(table, CAPTIONS.name, captions)


def _left(
    captions: list[str], own: str, text: str, leaving: Mapping[int, str], rest: Rest
) -> list[str]:
    """Return the captions of a sample that stay beside its text, which was `own`.

    Those of `captions: all` are the others as they were cleaned or masked; else the list of all.
    """
    if rest.options.get("captions"):
        left = rest.captions(captions, [own], leaving.values())
        return [caption for caption in left if caption != text]
    return [caption for index, caption in enumerate(captions) if index not in leaving]
