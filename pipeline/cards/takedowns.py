"""The register of takedowns and complaints: what each `forget` has taken out, when and why."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.paths import forgotten_record
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit import forgotten

HEAD = ("number", "when", "who", "named", "pairs", "images", "reason")


@dataclass(frozen=True, slots=True)
class Takedown:
    """A `forget`.

    Attributes:
        number: Of its record, from 1.
        when: When it began, ISO 8601.
        who: User and machine; in the register alone, not in what is published.
        named: By what kinds of name, such as `host, url`.
        pairs: Taken out.
        images: How many of them had a stored image.
        reason: As given; empty where none was. In the register alone.
    """

    number: int
    when: str
    who: str
    named: str
    pairs: int
    images: int
    reason: str


def read(store: Store) -> list[Takedown]:
    """Return the takedowns of a dataset, the first first."""
    found = []
    for name in forgotten.names(store):
        record = marker_of(store, forgotten_record(int(name)))
        extra: dict[str, Any] = record.extra
        found.append(
            Takedown(
                int(name),
                extra["when"],
                extra["who"],
                ", ".join(sorted(extra["what"])),
                record.rows,
                record.counts["images"],
                extra[forgotten.REASON],
            )
        )
    return found


def register(takedowns: Sequence[Takedown]) -> str:
    """Return the register as CSV with a header."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(HEAD)
    for one in takedowns:
        writer.writerow([getattr(one, name) for name in HEAD])
    return sink.getvalue()
