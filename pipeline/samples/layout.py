"""How samples lie in a shard: what a layout must tell, and the layout of WebDataset tars.

A record is what is known of a sample before its image is read. A layout says what of the ledger
goes into it, and writes samples from their records and images.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.samples.sample_json import sample_jsons
from pairsieve.pipeline.samples.sample_tar import Bytes, sample_bytes, sample_parts, tar_bytes
from pairsieve.schemas.columns import IMAGE_BYTES, TEXT, UID, Column

ABOUT = "about"  # column of a record: what a sample says besides image and text
MORE = "more"  # likewise: further files of a sample, suffix and content
MORE_FILES = pa.map_(pa.string(), pa.large_binary())
VECTOR = "npy"  # suffix of the further file that has the vector of the image
SAMPLE = (UID.name, TEXT.name, ABOUT, MORE)


class SampleWriter(Protocol):
    """Writes the samples of a shard, in order."""

    def write(self, records: pa.Table, images: Sequence[Bytes]) -> list[int]:
        """Write some samples; return where each begins."""
        ...


class Layout(Protocol):
    """How samples lie in a shard.

    Attributes:
        suffix: Of the names of shards.
    """

    suffix: ClassVar[str]

    @property
    def about_type(self) -> pa.DataType:
        """Return the Arrow type of `ABOUT`."""
        ...

    def describe(self, samples: pa.Table) -> pa.Array:
        """Return what each sample says besides image and text, given its row of the ledger."""
        ...

    def sizes(self, records: pa.Table) -> NDArray[np.int64]:
        """Return how many bytes each sample has, (n,), at least those of its image."""
        ...

    def writing(self, sink: HashingWriter) -> AbstractContextManager[SampleWriter]:
        """Give what writes the samples of a shard to a file that is open."""
        ...


@dataclass(frozen=True, slots=True)
class TarLayout:
    """WebDataset: a file for the image, the text, and the rest as JSON, one after the other.

    Attributes:
        format: Of the images; the suffix of their names.
        columns: pairsieve's own columns, of which the JSON has those that belong there.
        shown: Names of those that the JSON has besides uid and text; None for all.
    """

    suffix: ClassVar[str] = ".tar"
    format: str
    columns: tuple[Column, ...]
    shown: frozenset[str] | None = None

    @property
    def about_type(self) -> pa.DataType:
        """Return the type of JSON."""
        return pa.large_binary()

    def describe(self, samples: pa.Table) -> pa.Array:
        """Return the JSON of each sample."""
        if self.shown is not None:
            kept = {UID.name, TEXT.name, *self.shown}
            samples = samples.select([name for name in samples.column_names if name in kept])
        return sample_jsons(samples, self.columns)

    def sizes(self, records: pa.Table) -> NDArray[np.int64]:
        """Return how many bytes each sample has in a tar, (n,)."""
        lengths = (
            records[IMAGE_BYTES.name],
            pa.compute.binary_length(records[TEXT.name]),
            pa.compute.binary_length(records[ABOUT]),
        )
        columns = [np.asarray(each.to_numpy(), np.int64) for each in lengths]
        sizes = np.asarray(sample_bytes(*columns), np.int64)
        more = records[MORE]
        if more.null_count < len(more):
            files = (
                sample_bytes(*(len(body) for _, body in one or ())) for one in more.to_pylist()
            )
            sizes = sizes + np.fromiter(files, np.int64, len(more))
        return sizes

    @contextmanager
    def writing(self, sink: HashingWriter) -> Iterator["TarWriter"]:
        """Give what writes a tar, and end it."""
        yield TarWriter(sink, self)
        sink.write(bytes(tar_bytes(sink.size) - sink.size))

    def parts(self, sample: Sequence[Any], image: Bytes) -> list[Bytes]:
        """Return the bytes of one sample, given its values of `SAMPLE`."""
        uid, text, json, more = sample
        return sample_parts(uid, (self.format, image), text, json, more or ())


@dataclass(frozen=True, slots=True)
class TarWriter:
    """Writes samples to a tar."""

    sink: HashingWriter
    layout: TarLayout

    def write(self, records: pa.Table, images: Iterable[Bytes]) -> list[int]:
        """Write some samples; return at which byte each begins."""
        offsets = []
        columns = zip(*(records[name].to_pylist() for name in SAMPLE), strict=True)
        for sample, image in zip(columns, images, strict=True):
            offsets.append(self.sink.size)
            self.sink.write(b"".join(self.layout.parts(sample, image)))
        return offsets
