"""What a column is: `columns.py` declares them, `text_columns.py` those of captions."""

from dataclasses import dataclass
from functools import partial

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Name in the Parquet files and in DuckDB.
        type: Arrow type of one value.
        unit: Unit or range of one value, e.g. "px", "[-1, 1]"; "" for text, flags and ids.
        doc: What the value is.
        nullable: True when the value is missing for some pairs.
        in_sample: True when the JSON of a sample in the shards has the value. Not what differs
            from run to run, is the same for all survivors or is only there to be compared, nor a
            score by which nobody shall choose samples.
    """

    name: str
    type: pa.DataType
    unit: str
    doc: str
    nullable: bool = True
    in_sample: bool = False


InSample = partial(Column, in_sample=True)
