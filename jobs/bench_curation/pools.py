"""What is trained on: the demo web, curated in several ways, as `shard` packs it for each.

A pool is what a selection keeps. RANDOM stands for as many pairs of RAW as another pool has, drawn
anew for each seed. Pictures are squashed to the size that the model reads, once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pairsieve.jobs import demo
from pairsieve.jobs.demo_web.build import ROUTES, build
from pairsieve.jobs.demo_web.server import reserve_ports, serving
from pairsieve.jobs.job import Choice, EngineChoice, Job
from pairsieve.jobs.tiny_model.data import model_input
from pairsieve.jobs.tiny_model.train import tokenizer
from pairsieve.pipeline import run
from pairsieve.pipeline.dataset.paths import shards_folder
from pairsieve.pipeline.dataset.stages import GROUP, SELECT, SHARD
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.evaluation.sets import find, samples
from pairsieve.pipeline.models.builtin import MODELS
from pairsieve.schemas.evaluation_sets import EvaluationSet

RAW, BASIC, TOP, FULL = "raw", "basic", "clip_30", "full"
RANDOM = {"random_as_full": FULL, "random_as_clip_30": TOP}
GATE = "    gate: true\n"  # what is not fetched is in no pool
KEEP = {
    RAW: "keep: []\n",
    BASIC: "keep: {preset: datacomp-basic}\n",
    TOP: "keep: [{top_fraction: 0.3, of: clip_similarity}]\n",
}
SEED = 0  # of the web


@dataclass(frozen=True, slots=True)
class Pool:
    """Pairs as the model reads them.

    Attributes:
        pictures: (n, 64, 64, 3), RGB.
        tokens: Of the captions, (n, context length).
    """

    pictures: NDArray[np.uint8]
    tokens: NDArray[np.uint16]

    def some(self, count: int, seed: int) -> "Pool":
        """Return so many pairs, drawn without replacement."""
        rows = np.random.default_rng((seed, count)).permutation(len(self.pictures))[:count]
        return Pool(self.pictures[rows], self.tokens[rows])

    def in_order(self) -> "Pool":
        """Return the pairs in an order that they alone decide.

        Shards are ordered by uids, in which the port is that the web was drawn for.
        """
        both = zip(self.pictures, self.tokens, strict=True)
        keys = [hashlib.sha256(one.tobytes() + other.tobytes()).digest() for one, other in both]
        rows = sorted(range(len(keys)), key=keys.__getitem__)
        return Pool(self.pictures[rows], self.tokens[rows])

    def digest(self) -> str:
        """Return the SHA-256 of the pairs in their order, hex."""
        hashed = hashlib.sha256(str(self.pictures.shape).encode())
        hashed.update(self.pictures.tobytes())
        hashed.update(self.tokens.tobytes())
        return hashed.hexdigest()

    def save(self, path: Path) -> None:
        """Write the pool for other processes."""
        np.savez(path, pictures=self.pictures, tokens=self.tokens)

    @classmethod
    def load(cls, path: Path) -> "Pool":
        """Return the pool that `save` wrote."""
        with np.load(path) as file:
            return cls(file["pictures"], file["tokens"])


def make(folder: Path, pairs: int, engine: Choice, say: Callable[[str], None]) -> dict[str, int]:
    """Build and curate the web in `folder`, and write each pool there; return their sizes."""
    web, store = folder / "web", Store.at(folder / "dataset")
    if not (web / ROUTES).exists():
        say(f"drawing the demo web of {pairs:,} pairs")
        reserved = reserve_ports()
        build(web, SEED, reserved.site, pairs)
        reserved.close()
    sizes = {}
    with serving(web) as site:
        text = demo.recipe_text(folder, site).replace(GATE, "")
        before, keeping, after = text.partition("keep:\n")
        rules, sharding, rest = after.partition("shard:")
        for name, keep in {**KEEP, FULL: keeping + rules}.items():
            say(f"curating `{name}`")
            recipe = folder / f"{name}.yaml"
            recipe.write_text(f"{before}{keep}{sharding}{rest}")
            _run(recipe, store, engine, name)
            pool = _read(store, name).in_order()
            pool.save(pool_file(folder, name))
            sizes[name] = len(pool.pictures)
    return sizes | {name: sizes[other] for name, other in RANDOM.items()}


def pool_file(folder: Path, name: str) -> Path:
    """Return where the pool of a selection is."""
    return folder / f"{name}.npz"


def _run(recipe: Path, store: Store, engine: Choice, name: str) -> None:
    """Run the pipeline up to the shards of a selection; pages are not needed."""
    job = Job(recipe, store.url, EngineChoice(engine))
    planned = job.plan()
    with job.engine() as running, job.progress(planned.pairs, running) as listener:
        run.measure(job.recipe, job.store, running, planned, listener)
        run.decided(job.recipe, job.store, running, name, (GROUP, SELECT, SHARD), listener)


def _read(store: Store, name: str) -> Pool:
    """Return the pool in the shards of a selection."""
    found = samples(find(name, EvaluationSet(retrieval=store.location(shards_folder(name)))))
    pictures, texts = [], []
    for sample in found:
        pixels = np.asarray(simplejpeg.decode_jpeg(sample.body, "RGB"), np.uint8)
        pictures.append(model_input(pixels))
        texts.append("\n".join(sample.captions))
    return Pool(np.stack(pictures), np.asarray(tokenizer(MODELS)(texts)).astype(np.uint16))
