"""`bench curation` in its shortest form: every part runs; one step shows nothing."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.jobs.conftest import command

from pairsieve.jobs.bench_curation.bench import MEASURES, POOLS
from pairsieve.jobs.bench_curation.pools import Pool, pool_file
from pairsieve.jobs.bench_curation.training import BATCH, Training, figures, train
from pairsieve.jobs.tiny_model.data import SIDE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.evaluation import results

SHORT = ("--pairs", "166", "--steps", "1", "--seeds", "2", "--scenes", "12", "--of-class", "1")
ALONE = ("--workers", "1", "--engine", "serial")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a benchmark, and what it said."""
    folder = tmp_path_factory.mktemp("bench") / "curation"
    run = ("bench", "curation", folder, *SHORT, *ALONE, "--plots", folder.parent)
    return folder, command(*run).stdout


def test_each_pool_is_trained_on_and_compared(finished: tuple[Path, str]) -> None:
    folder, said = finished
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    pools = {cells[0].strip("| "): int(cells[1]) for cells in rows[1 : 1 + len(POOLS)]}
    assert list(pools) == list(POOLS)
    assert pools["raw"] > pools["basic"] > pools["full"] == pools["random_as_full"]
    assert all(len(cells) == 2 + len(MEASURES) for cells in rows[: len(POOLS)])
    assert len(Pool.load(pool_file(folder, "full")).tokens) == pools["full"]
    assert (folder.parent / "curation.svg").read_text().count("<circle") == 6 * len(MEASURES)
    (one, *_) = results.compared([results.read(Store.at(folder / "dataset"), "full")])
    assert one.checkpoints == (2,)


def test_a_model_trained_on_a_clean_part_filters_the_pool(finished: tuple[Path, str]) -> None:
    """A data filtering network, as docs/evaluate.md has it."""
    folder, _ = finished
    recipe = folder / "filtered.yaml"
    network = {"model": "pairsieve-tiny", "pretrained": "full-0.safetensors", "name": "dfn"}
    changed = yaml.safe_load((folder / "raw.yaml").read_text())
    changed |= {"embed": [changed["embed"], network]}
    changed |= {"keep": [{"top_fraction": 0.3, "of": "clip_similarity_dfn"}]}
    recipe.write_text(yaml.safe_dump(changed))
    where = (recipe, "--dataset", folder / "dataset")
    assert command("embed", *where, "--engine", "serial").returncode == 0
    assert command("select", *where, "--name", "filtered").returncode == 0
    store = Store.at(folder / "dataset")
    of = [store.marker(f"select/{name}/done.json") for name in ("raw", "filtered")]
    raw, filtered = (marker.counts["kept"] for marker in of if marker)
    assert filtered == math.ceil(0.3 * raw)


def test_the_same_seed_trains_the_same_weights_and_another_others() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    tokens = np.zeros((BATCH, 40), np.uint16)
    tokens[:, 0] = np.arange(BATCH) + 1
    tokens[:, 1] = 1253  # what ends a text
    pool = Pool(pictures, tokens)
    one, other = (train(pool, 0, 1).state_dict() for _ in range(2))
    another = train(pool, 1, 1).state_dict()
    assert all((one[name] == other[name]).all() for name in one)
    assert any((one[name] != another[name]).any() for name in one)


def test_a_checkpoint_counts_only_for_the_pairs_and_the_seed_it_was_trained_on(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = finished
    shutil.copy(folder / "full.npz", tmp_path)
    sets = folder / "sets" / "sets.yaml"
    training = Training(tmp_path, "full", 0, 0, 1)
    shutil.copy(folder / "full-0.safetensors", training.checkpoint)
    before = training.checkpoint.stat().st_mtime_ns
    rows = figures(training, sets)
    assert training.checkpoint.stat().st_mtime_ns == before
    pool = Pool.load(pool_file(tmp_path, "full"))
    Pool(pool.pictures[1:], pool.tokens[1:]).save(pool_file(tmp_path, "full"))
    assert figures(training, sets) != rows
    shutil.copy(folder / "full-1.safetensors", training.checkpoint)
    assert training.checkpoint.read_bytes() != (folder / "full-0.safetensors").read_bytes()
    shutil.copy(folder / "full.npz", tmp_path)
    assert figures(training, sets) == rows


def test_the_order_of_pairs_does_not_depend_on_how_they_came() -> None:
    pictures = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)
    tokens = np.arange(9, dtype=np.uint16)[:, None]
    one, other = (Pool(pictures[rows], tokens[rows]) for rows in ([*range(9)], [*range(9)][::-1]))
    assert one.digest() != other.digest()
    assert one.in_order().digest() == other.in_order().digest()


def test_a_random_subset_is_another_for_another_seed() -> None:
    pool = Pool(np.zeros((9, 1, 1, 3), np.uint8), np.arange(9, dtype=np.uint16)[:, None])
    drawn = [pool.some(4, seed).tokens[:, 0].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 4
