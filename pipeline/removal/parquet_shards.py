"""Parquet shards without the samples and captions that leave them."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.streams import HashingWriter
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
    """Return samples whose list of captions lacks those that leave."""
    uids = table[UID.name].to_pylist()
    if CAPTIONS.name not in table.column_names or rest.leaving.keys().isdisjoint(uids):
        return table
    place = table.column_names.index(CAPTIONS.name)
    texts, captions = table[TEXT.name].to_pylist(), table[CAPTIONS.name].to_pylist()
    for index, uid in enumerate(uids):
        if (leaving := rest.leaving.get(uid)) and captions[index]:
            captions[index] = _left(captions[index], texts[index], leaving, rest)
    return table.set_column(
        place, CAPTIONS.name, pa.array(captions, table.schema.field(place).type)
    )


def _left(captions: list[str], text: str, leaving: Mapping[int, str], rest: Rest) -> list[str]:
    """Return the captions of a sample that stay.

    Those of `captions: all` are the others as they were cleaned or masked; else the list of all.
    """
    if rest.options.get("captions"):
        return rest.captions(captions, [text], leaving.values())
    return [caption for index, caption in enumerate(captions) if index not in leaving]
