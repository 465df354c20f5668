"""The ledger part of one task slice, from its input rows to the table that is committed."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters import own
from pairsieve.filters.base import Filters, Measures, configured, measured, name_of
from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.order import ordered
from pairsieve.filters.personal_data_kinds import find, masked
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.input.extra_columns import PROBLEM, RESERVED, image_locations
from pairsieve.pipeline.ledger.rules import Rule, passing
from pairsieve.pipeline.rights.opt_out import OptOut
from pairsieve.schemas.columns import (
    DETAIL,
    GATHERED,
    HOST,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    TEXT,
    UID,
    URL,
    URL_HASH,
    Column,
    arrow_schema,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.rights_columns import OPT_OUT_AT, OPT_OUT_EVIDENCE, OPT_OUTS


class Part:
    """The ledger part of a task slice while it is filled: a list of values per column.

    Attributes:
        urls: The canonical form of each row's URL, None where it has none.
    """

    def __init__(
        self,
        table: pa.Table,
        retry_layer: int = 0,
        filters: Filters | None = None,
        recipe: Recipe | None = None,
        left_out: Collection[str] = (),
    ) -> None:
        """Start from a unit's input: `row`, `url`, `text` and extra columns.

        The measures of images with these names are `left_out`.
        """
        self.extra_columns = table.drop_columns(
            [name for name in table.column_names if name in RESERVED]
        )
        self.image_locations = image_locations(table)
        told = PROBLEM in table.column_names
        self.problems = table[PROBLEM].to_pylist() if told else [None] * table.num_rows
        self.rows = table.num_rows
        filters = own.of(recipe) if filters is None else filters
        self.order = ordered(filters)
        self.columns = (*GATHERED, *own.columns(filters))
        of_image = [m for m in self.order.image if name_of(type(m)) not in left_out]
        self.of_image = [one for one in (configured(m, recipe) for m in of_image) if one]
        self.of_text = [one for one in (configured(m, recipe) for m in self.order.text) if one]
        self.values: dict[str, list[Any]] = {c.name: [None] * self.rows for c in self.columns}
        for column in (ROW, URL, TEXT):
            self.values[column.name] = table[column.name].to_pylist()
        self.urls = [canonical(url or "") for url in self.values[URL.name]]
        self.values[HOST.name] = [url.host or None if url else None for url in self.urls]
        self.values[URL_HASH.name] = [url.hash if url else None for url in self.urls]
        self.values[RETRY_LAYER.name] = [retry_layer] * self.rows
        self._forgotten: set[int] = set()
        self.values[UID.name] = [
            uid(url or "", text or "")
            for url, text in zip(self.values[URL.name], self.values[TEXT.name], strict=True)
        ]

    @property
    def of_pair(self) -> bool:
        """Return whether a measure in `gather` reads of the text and of the image.

        Then pairs that share an image may differ in what is measured after the fetch.
        """
        return any(set(one.reads) & set(self.order.of_text) for one in self.of_image)

    def by_url(self, rows: Iterable[int]) -> dict[str, list[int]]:
        """Return `rows` by their URL: its canonical form, or as it came where it has none."""
        same: dict[str, list[int]] = {}
        for row in rows:
            url = self.urls[row]
            same.setdefault(url.url if url else self.values[URL.name][row], []).append(row)
        return same

    def put(self, column: Column, rows: Iterable[int], value: Any) -> None:
        """Write one value into `column` at `rows`."""
        for row in rows:
            self.values[column.name][row] = value

    def reject(self, rows: Iterable[int], outcome: Outcome, detail: str | None) -> None:
        """Give `rows` the outcome that ends their way to a stored image, and the reason."""
        rows = list(rows)
        self.put(OUTCOME, rows, outcome)
        self.put(DETAIL, rows, detail)

    def note(self, rows: Iterable[int], opt_outs: Sequence[OptOut], at: int | None) -> None:
        """Add opt-outs, of an answer at that time, to what `rows` have of them."""
        for row in rows if opt_outs else ():
            for column, new in (
                (OPT_OUTS, [str(one.form) for one in opt_outs]),
                (OPT_OUT_EVIDENCE, [one.evidence for one in opt_outs]),
            ):
                self.values[column.name][row] = (self.values[column.name][row] or []) + new
            times = [one.read_at or at or 0 for one in opt_outs]
            latest = max(self.values[OPT_OUT_AT.name][row] or 0, *times)
            self.values[OPT_OUT_AT.name][row] = latest or None

    def forget(self, row: int, detail: str | None, uid: str | None = None) -> None:
        """Keep of a row nothing but its uid, or the one given, and why."""
        kept = {column.name for column in (ROW, UID, RETRY_LAYER)}
        for name in self.values.keys() - kept:
            self.values[name][row] = None
        if uid:
            self.values[UID.name][row] = uid
        self.urls[row] = None
        self._forgotten.add(row)
        self.reject([row], Outcome.FORGOTTEN, detail)

    def usable(self) -> list[int]:
        """Return the rows with a URL and a text not seen before; give the others their outcome.

        Rows that are forgotten have theirs.
        """
        seen: set[str] = set()
        alive = []
        for row in (row for row in range(self.rows) if row not in self._forgotten):
            uid = self.values[UID.name][row]
            if not (self.values[URL.name][row] or "").strip():
                outcome = Outcome.NO_URL
            elif not (self.values[TEXT.name][row] or "").strip():
                outcome = Outcome.NO_TEXT
            elif uid in seen:
                outcome = Outcome.REPEATED
            else:
                alive.append(row)
                seen.add(uid)
                continue
            self.reject([row], outcome, None if outcome is Outcome.REPEATED else self.problems[row])
        return alive

    def measure_texts(
        self, rows: Sequence[int], arrays: Mapping[Column, Any] | None = None
    ) -> None:
        """Fill what is measured before the fetch; value i of each of `arrays` is of `rows[i]`."""
        self._measure(self.of_text, [[row] for row in rows], arrays or {})

    def mask_texts(self, regions: tuple[str, ...]) -> None:
        """Put `[email]` and the like in place of personal data in all texts; uids stay."""
        texts = self.values[TEXT.name]
        self.values[TEXT.name] = [text and _masked(text, regions) for text in texts]

    def measure_images(self, rows: list[list[int]], arrays: Mapping[Column, Any]) -> None:
        """Fill what is measured of images.

        Value i of each of `arrays`, (n,), belongs to all of `rows[i]`: pairs that share an
        image. Of a value that is None nothing is measured. What reads of their texts as well is
        measured for each of them.
        """
        self._measure(self.of_image, rows, arrays)

    def _measure(
        self, measures: Iterable[Measures], rows: list[list[int]], arrays: Mapping[Column, Any]
    ) -> None:
        """Run the measures, in order, on `arrays` and on columns that are filled already."""
        shared: set[Column] = set()  # among all of `rows[i]`
        for one in measures:
            stored = [column for column in one.reads if column not in arrays]
            if any(column.name not in self.values for column in stored):
                continue  # of pixels that this recipe does not want
            groups = list(enumerate(rows))
            if not set(stored) <= shared:
                groups = [(index, [row]) for index, same in groups for row in same]
            planes = [arrays[column] for column in one.reads if column in arrays]
            groups = [
                (i, same)
                for i, same in groups
                if self._filled(stored, same[0]) and all(each[i] is not None for each in planes)
            ]
            indices = [index for index, _ in groups]
            inputs = {c: arrays[c][indices] for c in one.reads if c in arrays}
            inputs |= {c: self._array(c, [same[0] for _, same in groups]) for c in stored}
            for column, array in measured(one, inputs).items():
                for (_, same), value in zip(groups, array.tolist(), strict=True):
                    self.put(column, same, value)
            if set(stored) <= shared:
                shared |= set(one.writes)

    def _filled(self, columns: Iterable[Column], row: int) -> bool:
        """Return whether none of the columns is null at `row`."""
        return all(self.values[column.name][row] is not None for column in columns)

    def _array(self, column: Column, rows: list[int]) -> NDArray[Any]:
        """Return the values of a column at `rows`, (n,), as a measure reads them."""
        values = pa.array([self.values[column.name][row] for row in rows], column.type)
        array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return array

    def gated(self, alive: list[int], gates: Sequence[Rule]) -> list[int]:
        """Return the rows of `alive` that pass the gates on text; the others are `gated`."""
        passes = passing(self.table().take(pa.array(alive, pa.int64())), gates)
        self.put(
            OUTCOME, (row for row, ok in zip(alive, passes, strict=True) if not ok), Outcome.GATED
        )
        return [row for row, ok in zip(alive, passes, strict=True) if ok]

    def table(self) -> pa.Table:
        """Return the part as it stands, the extra columns behind pairsieve's own."""
        schema = arrow_schema(self.columns)
        arrays = [pa.array(self.values[field.name], field.type) for field in schema]
        table = pa.Table.from_arrays(arrays, schema=schema.remove_metadata())
        extra_columns = self.extra_columns
        if self._forgotten:
            rows = (None if row in self._forgotten else row for row in range(self.rows))
            extra_columns = extra_columns.take(pa.array(rows, pa.int64()))
        for field, column in zip(extra_columns.schema, extra_columns.columns, strict=True):
            table = table.append_column(field, column)
        return table


def _masked(text: str, regions: tuple[str, ...]) -> str:
    """Return a text without personal data; cleaned, where only that shows some of it."""
    left = masked(text, regions)
    clean = cleaned(left)
    return masked(clean, regions) if find(clean, regions) else left


def uid(url: str, text: str) -> str:
    """Return the 128-bit BLAKE2b of URL and text as 32 hex digits.

    The URL's length in bytes goes first, so that no two pairs share their input.
    """
    encoded = url.encode()
    head = len(encoded).to_bytes(8, "little")
    return hashlib.blake2b(head + encoded + text.encode(), digest_size=16).hexdigest()
