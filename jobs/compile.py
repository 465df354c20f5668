"""Compile every compiled function once, so that all processes find its machine code on disk.

`python -m pairsieve.jobs.compile` after an installation, as `make install` does, or into the image
of a container. Without it every process that starts on a new machine compiles for half a minute.
Two processes share the work: one measures pairs, the other looks for near-duplicates.
"""

import io
import tarfile
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.jobs.bench_data.pool import Pool, build
from pairsieve.pipeline import gather, group, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.recipe import Recipe

PAIRS = 2_000  # of the pool in which near-duplicates are sought
SIDE = 400  # px, of the pictures: they are resized
KINDS: tuple[tuple[str, tuple[int, ...]], ...] = (  # format, channels
    ("jpg", (3,)),
    ("jpg", ()),
    ("png", (3,)),
    ("png", (4,)),
    ("png", ()),
)


def compile_all() -> None:
    """Compile what measuring and deciding call, in two processes."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        for done in [processes.submit(measure_pairs), processes.submit(group_pool)]:
            done.result()


def measure_pairs() -> None:
    """Gather pictures of several kinds with captions."""
    with tempfile.TemporaryDirectory() as folder:
        _put_pairs(Path(folder, "in.tar"))
        recipe = Recipe.model_validate({"input": {"path": f"{folder}/in.tar"}})
        store = Store.at(f"{folder}/out")
        planned = plan.run(recipe, store)
        for _ in gather.run(recipe, store, planned, Serial()):
            continue


def _put_pairs(path: Path) -> None:
    import cv2

    with tarfile.open(path, "w") as tar:
        for number, (kind, channels) in enumerate(KINDS):
            pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, *channels), np.uint8)
            _, body = cv2.imencode(f".{kind}", pixels)
            for suffix, content in ((kind, body.tobytes()), ("txt", b"a dog runs in the snow")):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def group_pool() -> None:
    """Group a drawn pool."""
    content: dict[str, Any] = {
        "input": {"path": "pairs.parquet"},
        "fetch": {"user_agent": "pairsieve-compile/1.0 (+https://compile.example)"},
        "embed": {"model": "ViT-B-32", "pretrained": "openai"},
        "group": {"caption_cluster": {}},
    }
    recipe = Recipe.model_validate(content)
    with tempfile.TemporaryDirectory() as folder:
        build(Pool(PAIRS, unit=PAIRS), recipe, Path(folder))
        group.run(recipe, Store.at(folder), Serial())


if __name__ == "__main__":
    compile_all()
