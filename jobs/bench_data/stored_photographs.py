"""Drawn photographs as `gather` leaves them: JPEGs in the tars of a dataset, with captions.

A few are drawn, as drawing takes longer than embedding; each stands in the tars many times, every
time as a stored image of its own.
"""

import io
import tarfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pairsieve.jobs.bench_data.photos import ASPECTS, photograph
from pairsieve.pipeline.dataset.checksums import STORED_AT, StoredAt, of_image
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, content, marker_path
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import OUTCOME, ROW, TEXT, arrow_schema
from pairsieve.schemas.outcomes import Outcome

SIDE = 512  # px, shorter side of a stored picture by default
QUALITY = 90  # of a stored picture by default
WORDS = (  # of captions
    "a the of in on with and red blue old new small white black photo woman man dog cat house "
    "street night garden table bicycle portrait oil canvas beautiful running shoes guide wall "
    "yellow mountain view sale vintage poster wooden kitchen best design free delivery 2019"
)
MIN_WORDS, MAX_WORDS = 3, 20  # of a caption


@dataclass(frozen=True)
class Slices:
    """Gathered task slices to make: how many, of how many pairs each, the first one's number."""

    count: int
    pairs: int
    first: int = 0

    @property
    def names(self) -> list[str]:
        """Return their names."""
        return [f"{number:08d}" for number in range(self.first, self.first + self.count)]


def drawn_jpegs(count: int) -> list[bytes]:
    """Return drawn photographs of several shapes, always the same ones."""
    random = np.random.default_rng(0)
    bodies = []
    for number in range(count):
        aspect = ASPECTS[number % len(ASPECTS)]
        width, height = (round(SIDE * max(1, side)) for side in (aspect, 1 / aspect))
        file = io.BytesIO()
        Image.fromarray(photograph(random, width, height)).save(file, "JPEG", quality=QUALITY)
        bodies.append(file.getvalue())
    return bodies


def put_slices(store: Store, slices: Slices, bodies: list[bytes]) -> None:
    """Commit the slices as gathered; their images are the bodies in turn."""
    random = np.random.default_rng(slices.first)
    in_turn = [bodies[row % len(bodies)] for row in range(slices.pairs)]
    checksums = [*map(of_image, bodies)] * -(-slices.pairs // len(bodies))
    for name in slices.names:
        tar, part = (content(GATHER_FOLDER, name, suffix) for suffix in (".tar", ".parquet"))
        stored = []
        with store.writer(tar) as images, tarfile.open(fileobj=images, mode="w") as members:
            for row, (body, checksum) in enumerate(zip(in_turn, checksums, strict=False)):
                member = tarfile.TarInfo(f"{row:06d}.jpg")
                member.size = len(body)
                offset = members.offset + tarfile.BLOCKSIZE
                stored.append(StoredAt(tar, offset, len(body), checksum))
                members.addfile(member, io.BytesIO(body))
        with store.writer(part) as rows:
            pq.write_table(_table(int(name) * slices.pairs, stored, random), rows)
        marker = Marker(slices.pairs, {tar: images.entry(), part: rows.entry()}, {})
        commit(store, marker_path(GATHER_FOLDER, name), marker)


def _table(first: int, stored: list[StoredAt], random: np.random.Generator) -> pa.Table:
    """Return the columns of the ledger that embedding reads."""
    words = WORDS.split()
    lengths = random.integers(MIN_WORDS, MAX_WORDS + 1, len(stored))
    captions = [" ".join(random.choice(words, length)) for length in lengths]
    columns = [
        range(first, first + len(stored)),
        captions,
        [str(Outcome.OK)] * len(stored),
        *zip(*stored, strict=True),
    ]
    schema = arrow_schema((ROW, TEXT, OUTCOME, *STORED_AT))
    arrays = [
        pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
