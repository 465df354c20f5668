"""Labels that people have given by looking, kept in the dataset.

Each session of `explore` writes one file of its own, so that two people never write the same; of
labels of one pair the latest counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.paths import LABELS_FOLDER, label_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import Stopped

LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Label:
    """What a person has said of a pair.

    Attributes:
        row: Of the pair.
        uid: Of the pair.
        good: True for a good pair, False for a bad one, None where a label was taken back.
        when: Time of the label, ISO 8601 in UTC.
        threshold: Next to which threshold the pair was shown, RULE.OPTION; empty for none.
        selection: Of which selection.
    """

    row: int
    uid: str
    good: bool | None
    when: str
    threshold: str = ""
    selection: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the label that `asdict` made."""
        return cls(**content)


def read_all(store: Store) -> dict[int, Label]:
    """Return the latest label of each pair that has one, by row.

    Raises:
        Stopped: a file is damaged.
    """
    latest: dict[int, Label] = {}
    for path in paths(store):
        for label in read_file(store, path):
            known = latest.get(label.row)
            if known is None or known.when <= label.when:
                latest[label.row] = label
    return {row: label for row, label in sorted(latest.items()) if label.good is not None}


def paths(store: Store) -> list[str]:
    """Return where there are labels, in order."""
    return sorted(path for path, _, _ in store.list(LABELS_FOLDER) if path.endswith(".json"))


def read_file(store: Store, path: str) -> list[Label]:
    """Return the labels of one file, in the order in which they were given; none without it."""
    try:
        content = checked_json.loads(store.read(path))
        return [Label.from_json(label) for label in content[LABELS]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise Stopped(f"{store.location(path)}: damaged: {error}; put a copy back") from error


def dumps(labels: Iterable[Label]) -> bytes:
    """Return the content of a file of labels."""
    return checked_json.dumps({LABELS: [asdict(label) for label in labels]}, indent=0)


def add(store: Store, session: str, label: Label) -> None:
    """Add a label to those of a session; `session` is a token that no other has."""
    path = label_file(session)
    store.write(path, dumps([*read_file(store, path), label]))


def by_uid(store: Store) -> dict[str, bool]:
    """Return whether each pair that has a label is good, by uid."""
    return {label.uid: bool(label.good) for label in read_all(store).values()}


def without(labels: Iterable[Label], uids: frozenset[str]) -> list[Label]:
    """Return labels without those of some pairs."""
    return [label for label in labels if label.uid not in uids]
