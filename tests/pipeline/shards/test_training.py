"""open_clip's own trainer trains from the shards: from a disk, and from an object store."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pairsieve.pipeline.dataset.store import Store

Packed = Callable[..., Store]
BATCH = 6
WORKERS = 2
TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 32,
            "head_width": 16,
            "patch_size": 16,
        },
        "text_cfg": {"width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}
# What `aws s3 cp URL -` does.
CAT = """
import sys
import boto3

bucket, key = sys.argv[1].removeprefix("s3://").split("/", 1)
sys.stdout.buffer.write(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
"""


@pytest.fixture
def shards(packed: Packed) -> Store:
    """Two parts; of the one to train on each worker has a shard with a whole batch at least."""
    store = packed(samples=12, split={"val": 0.4})
    assert len(counts := sizes(store, "train")) >= WORKERS
    assert min(counts.values()) >= BATCH
    return store


def sizes(store: Store, part: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(store.read(f"shards/default/{part}/sizes.json"))
    return found


def train(folder: Path, said_of: dict[str, str | int]) -> list[tuple[int, int, float]]:
    """Train; return of each epoch the samples that were seen, and of how many, and the loss."""
    (folder / "tiny").mkdir()
    (folder / "tiny/open_clip_config.json").write_text(json.dumps(TINY))
    options: dict[str, str | int] = {
        "model": "local-dir:tiny",
        "dataset-type": "webdataset",
        "batch-size": BATCH,
        "workers": WORKERS,
        "warmup": 1,
        "lr": "0.01",
        "precision": "fp32",
        "logs": "logs",
        "name": "tiny",
        "log-every-n-steps": 1000,  # the first batch of an epoch, and the last
    }
    words = [w for key, value in (options | said_of).items() for w in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "open_clip_train.main", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert (folder / f"logs/tiny/checkpoints/epoch_{said_of['epochs']}.pt").exists()
    ends = r"Train Epoch: \d+ \[\s*(\d+)/(\d+) \(100%\)\].* Loss: [\d.]+ \(([\d.]+)\)"
    seen = [(int(one), int(of), float(loss)) for one, of, loss in re.findall(ends, said)]
    assert len(seen) == said_of["epochs"]
    validated = re.findall(r"Eval Epoch: .* num_samples: (\d+)\.", said.replace("\t", " "))
    assert validated == [str(said_of["val-num-samples"])] * int(said_of["epochs"])
    return seen


def seen_in(samples: int) -> int:
    """Return how many samples an epoch has whose batches are filled up, as many of each worker."""
    batches = -(-samples // BATCH)
    return -(-batches // WORKERS) * WORKERS * BATCH


def test_an_epoch_is_what_sizes_says_and_the_loss_falls(shards: Store, tmp_path: Path) -> None:
    folder = tmp_path / "dataset/shards/default"
    counts, last = sizes(shards, "train"), max(sizes(shards, "train"))
    epochs = train(
        tmp_path,
        {
            "train-data": f"{folder}/train/{{00000..{Path(last).stem}}}.tar",
            "val-data": f"{folder}/val/00000.tar",
            "val-num-samples": sizes(shards, "val")["00000.tar"],
            "epochs": 8,
        },
    )
    whole = seen_in(sum(counts.values()))
    assert [(seen, of) for seen, of, _ in epochs] == [(whole, whole)] * 8
    losses = [loss for _, _, loss in epochs]  # of so few batches they go up and down
    assert min(losses[4:]) < losses[0] - 0.05


def test_it_trains_from_an_object_store(shards: Store, tmp_path: Path, s3: str) -> None:
    (tmp_path / "cat.py").write_text(CAT)
    there = Store.at(f"{s3}/{tmp_path.name}")
    for path, _, _ in shards.list("shards/default"):
        there.write(path, shards.read(path))
    pipe = f"pipe:{sys.executable} {tmp_path}/cat.py {there.url}/shards/default"
    counts = sizes(there, "train")
    ((seen, of, _),) = train(
        tmp_path,
        {
            "train-data": f"{pipe}/train/{{00000..{Path(max(counts)).stem}}}.tar",
            "train-num-samples": sum(counts.values()),
            "val-data": f"{pipe}/val/00000.tar",
            "val-num-samples": sizes(there, "val")["00000.tar"],
            "epochs": 1,
        },
    )
    assert seen == of == seen_in(sum(counts.values()))
