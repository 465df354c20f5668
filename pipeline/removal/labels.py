"""The labels of pairs that leave."""

from collections.abc import Iterator, Sequence

import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning import label_files
from pairsieve.pipeline.removal.rows import files_in
from pairsieve.schemas.columns import UID


def labelled_without(store: Store, found: Sequence[Marker]) -> Iterator[tuple[str, bytes]]:
    """Yield path and new content of each file of labels that holds one of a pair that was found."""
    of_file = {path: label_files.read_file(store, path) for path in label_files.paths(store)}
    labelled = {label.uid for labels in of_file.values() for label in labels}
    leaving = frozenset(_found_of(store, found, labelled)) if labelled else frozenset[str]()
    for path, labels in of_file.items():
        left = label_files.without(labels, leaving)
        if len(left) < len(labels):
            yield path, label_files.dumps(left)


def _found_of(store: Store, found: Sequence[Marker], uids: set[str]) -> Iterator[str]:
    """Yield those of some uids that were found; a file is read at a time."""
    for file in files_in(found):
        with store.reader(file) as source:
            read = pq.read_table(source, columns=[UID.name])[UID.name].to_pylist()
        yield from uids.intersection(read)
