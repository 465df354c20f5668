"""Write the whole demo web into a folder: the same seed, size and address give the same bytes.

Every pair has its own random generator, seeded by the web's seed and the pair's number, so that a
pair does not depend on how many others are planted before it.
"""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from pairsieve.jobs.demo_web import image_files
from pairsieve.jobs.demo_web.captions import CAPTIONS
from pairsieve.jobs.demo_web.defects import (
    COPIES,
    DEFECTS,
    FULL_SIZE,
    ORIGINAL,
    SAME_PAIR,
    Defect,
    counts,
)
from pairsieve.jobs.demo_web.responses import ROBOTS, SERVINGS, TDMREP, PictureRoute, Route, Site
from pairsieve.jobs.demo_web.scenes import Scene, random_scene
from pairsieve.schemas.outcomes import Outcome

PAIRS = "pairs.parquet"
TRUTH = "truth.parquet"
ROUTES = "routes.json"
BODIES = "bodies.bin"
BLOCKLIST = "never.txt"
_PAIRS_SCHEMA = pa.schema(
    {name: pa.string() for name in ("url", "caption", "page", "note", "sha256")}
)
_TRUTH_SCHEMA = pa.schema(
    {
        "row": pa.int64(),  # index in pairs.parquet
        "url": pa.string(),
        "defect": pa.string(),
        "expected_outcome": pa.string(),  # null where a rule decides
        "expected_rule": pa.string(),  # the rule that should drop it, null for none
        "original": pa.int64(),  # of a copy or a repeated pair: the row it repeats
        "width": pa.int32(),  # of the upright picture, px; null if there is none
        "height": pa.int32(),
    }
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One planned pair: its number seeds what is random in it; `subject` is the scene it shows."""

    number: int
    defect: Defect
    subject: int


def build(folder: Path, seed: int, site: Site, pairs: int = FULL_SIZE) -> None:
    """Write PAIRS, TRUTH, BLOCKLIST, ROUTES and BODIES of a web of `pairs` pairs into `folder`.

    Raises:
        BadOption: `pairs` is too small to hold every defect twice.
    """
    import pyarrow.parquet as pq

    plan = _plan(seed, pairs)
    rows = {pair.number: row for row, pair in enumerate(plan)}
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / BODIES, "wb") as bodies:
        builder = _Builder(seed, site, bodies)
        by_number = sorted(plan, key=lambda pair: pair.number)  # originals first
        entries = {pair.number: builder.add(pair) for pair in by_number}
    ordered = [entries[pair.number] for pair in plan]
    truth = [
        entry.truth | {"row": row, "original": _original(pair, rows)}
        for row, (pair, entry) in enumerate(zip(plan, ordered, strict=True))
    ]
    pq.write_table(
        pa.Table.from_pylist([entry.pair for entry in ordered], _PAIRS_SCHEMA), folder / PAIRS
    )
    pq.write_table(pa.Table.from_pylist(truth, _TRUTH_SCHEMA), folder / TRUTH)
    (folder / BLOCKLIST).write_text("# What must never enter.\n" + "".join(builder.blocklist))
    routes = {path: asdict(route) for path, route in sorted(builder.routes.items())}
    (folder / ROUTES).write_text(json.dumps({"site": asdict(site), "routes": routes}))


def _plan(seed: int, pairs: int) -> list[_Pair]:
    """Return every pair in the order of the input; originals have the lowest numbers."""
    planned: list[_Pair] = []
    many = counts(pairs)
    for defect in sorted(DEFECTS, key=lambda defect: defect is not ORIGINAL):
        for copy in range(many[defect.name]):
            number = len(planned)
            repeats = defect in COPIES or defect is SAME_PAIR
            subject = copy % many[ORIGINAL.name] if repeats else number
            planned.append(_Pair(number, defect, subject))
    return _shuffled(planned, np.random.default_rng(seed))


def _shuffled(planned: list[_Pair], rng: np.random.Generator) -> list[_Pair]:
    """Return the pairs in random order, but slow servers first and a repeated pair second."""
    order = [planned[i] for i in rng.permutation(len(planned))]
    # Whoever works on them waits for all of them at once, and not at the end.
    order.sort(key=lambda pair: pair.defect.serving not in ("trickle", "silent"))
    indices = {pair.number: index for index, pair in enumerate(order)}
    for pair in planned:
        own, original = indices[pair.number], indices[pair.subject]
        if pair.defect is SAME_PAIR and own < original:
            order[own], order[original] = order[original], order[own]
            indices[pair.number], indices[pair.subject] = original, own
    return order


def _original(pair: _Pair, rows: dict[int, int]) -> int | None:
    """Return the row that `pair` repeats, if any."""
    return rows[pair.subject] if pair.subject != pair.number else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is written of one pair: its row of PAIRS and, less row and original, of TRUTH."""

    pair: dict[str, str | None]
    truth: dict[str, Any]


class _Builder:
    """Builds pairs one after the other; bodies go to the file, routes are collected."""

    def __init__(self, seed: int, site: Site, bodies: BinaryIO) -> None:
        self.routes: dict[str, Route] = {}
        self.blocklist: list[str] = []  # lines of the file
        self._seed = seed
        self._site = site
        self._bodies = bodies
        self._offset = 0
        self._originals: dict[int, tuple[image_files.Picture, int]] = {}  # with their offsets
        self._entries: dict[int, _Entry] = {}
        self.routes["/robots.txt"] = self._route(ROBOTS, "text/plain")
        self.routes["/.well-known/tdmrep.json"] = self._route(TDMREP, "application/json")

    def add(self, pair: _Pair) -> _Entry:
        """Write what `pair` needs and return its entry."""
        if pair.defect is SAME_PAIR:
            entry = self._entries[pair.subject]
            return _Entry(entry.pair, entry.truth | _expected(pair.defect))
        rng = np.random.default_rng((self._seed, pair.number))
        scene = self._scene(pair.subject)
        picture, route = self._picture(pair, scene, rng)
        name = hashlib.blake2b(b"%d %d" % (self._seed, pair.number), digest_size=5).hexdigest()
        path = f"/images/{name[:2]}/{name}.{picture.suffix}"
        url, routes = SERVINGS[pair.defect.serving](self._site, PictureRoute(path, route))
        self.routes |= routes
        if pair.defect.blocklist:
            self.blocklist.append(_blocklist_line(pair.defect.blocklist, url, picture.body))
        decoded = pair.defect.outcome in (Outcome.OK, None)
        width, height = (decoded and picture.size) or (None, None)
        entry = _Entry(
            {
                "url": url,
                "caption": CAPTIONS[pair.defect.caption](scene, pair.number, rng),
                "page": f"{self._site.base_url}/pages/{rng.integers(pair.number // 4 + 1)}.html",
                "note": f"picture {pair.number} of the little web",
                "sha256": _sha256(pair.defect.sha256, picture.body),
            },
            {"url": url, "width": width, "height": height} | _expected(pair.defect),
        )
        if pair.defect is ORIGINAL:
            self._entries[pair.number] = entry
        return entry

    def _scene(self, number: int) -> Scene:
        """Return the scene that the pair `number` would show by itself."""
        return random_scene(np.random.default_rng((self._seed, number, 1)))

    def _picture(
        self, pair: _Pair, scene: Scene, rng: np.random.Generator
    ) -> tuple[image_files.Picture, Route]:
        """Return the file of `pair` and the route that serves it; write the bytes if new."""
        copy = image_files.COPIES.get(pair.defect.picture)
        if copy is None:
            picture = image_files.PICTURES[pair.defect.picture](scene, rng)
        else:
            original, offset = self._originals[pair.subject]
            picture = copy(original, rng)
            if picture is original:
                headers = {"Content-Type": picture.type}
                return picture, Route(headers=headers, offset=offset, length=len(picture.body))
        route = self._route(picture.body, picture.type)
        if pair.defect is ORIGINAL:
            self._originals[pair.number] = (picture, route.offset)
        return picture, route

    def _route(self, body: bytes, kind: str) -> Route:
        """Write `body` and return a route to it."""
        self._bodies.write(body)
        self._offset += len(body)
        headers = {"Content-Type": kind}
        return Route(headers=headers, offset=self._offset - len(body), length=len(body))


def _blocklist_line(kind: str, url: str | None, body: bytes) -> str:
    """Return the line of the blocklist that names a picture by URL, bytes or pHash."""
    from imagehash import phash
    from PIL import Image

    if kind == "phash":
        return f"phash {phash(Image.open(io.BytesIO(body)).convert('L'))}\n"
    return f"{kind} {url if kind == 'url' else hashlib.sha256(body).hexdigest()}\n"


def _sha256(claim: str, body: bytes) -> str | None:
    """Return what the pairs say is the SHA-256 of a file: its own, that of another, or nothing."""
    if not claim:
        return None
    return hashlib.sha256(body if claim == "right" else body + b"changed").hexdigest()


def _expected(defect: Defect) -> dict[str, str | None]:
    """Return the columns of the truth that follow from the defect alone."""
    return {
        "defect": defect.name,
        "expected_outcome": str(defect.outcome) if defect.outcome else None,
        "expected_rule": defect.rule or None,
    }
