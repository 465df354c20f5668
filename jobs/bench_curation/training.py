"""One training of a model like `pairsieve-tiny`, by CLIP's loss alone, and its figures.

Every pool has the same steps, batches, learning rate and, by seed, the same first weights. Nothing
but captions teaches: no facts of scenes and no wrong captions, as `pairsieve-tiny` had them.

Source: CLIP (arXiv:2103.00020), figure 3; open_clip's `ClipLoss`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.jobs.bench_curation.pools import RANDOM, RAW, Pool, pool_file
from pairsieve.jobs.tiny_model.train import DECAY, LARGEST_SCALE, NAME, augmented, save
from pairsieve.pipeline import evaluate
from pairsieve.pipeline.evaluation.results import Row
from pairsieve.pipeline.models.builtin import MODELS
from pairsieve.schemas import evaluation_sets

BATCH = 64
RATE, WARM_UP = 1e-3, 50  # peak learning rate, and steps up to it


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained: on which pool, as large as which, by which seed, for how many steps."""

    folder: Path
    name: str
    size: int
    seed: int
    steps: int

    @property
    def checkpoint(self) -> Path:
        """Return where the weights are to be."""
        return self.folder / f"{self.name}-{self.seed}.safetensors"


def figures(training: Training, sets: Path) -> list[Row]:
    """Return how well the model does, trained now unless it was; what a process of its own does.

    A checkpoint that is there counts if it was trained on the same pairs, in the same way.
    """
    import torch

    torch.set_num_threads(1)
    source = RAW if training.name in RANDOM else training.name
    pool = Pool.load(pool_file(training.folder, source))
    if training.name in RANDOM:
        pool = pool.some(training.size, training.seed)
    origin = _origin(pool, training)
    if _metadata(training.checkpoint) != origin:
        save(train(pool, training.seed, training.steps), training.checkpoint, origin)
    options = evaluate.options(NAME, str(training.checkpoint), "fp32", "cpu")
    return evaluate.run(options, evaluation_sets.load(sets), None)


def _origin(pool: Pool, training: Training) -> dict[str, str]:
    """Return what a checkpoint comes from, as it keeps it; one of another origin is no use."""
    shaping = (training.seed, training.steps, BATCH, RATE, WARM_UP, DECAY)
    return {"pool": pool.digest(), "training": json.dumps(shaping)}


def _metadata(path: Path) -> dict[str, str] | None:
    """Return what a checkpoint says of itself; None where there is none."""
    from safetensors import safe_open

    if not path.exists():
        return None
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def train(pool: Pool, seed: int, steps: int) -> Any:
    """Return open_clip's network after so many steps."""
    import torch
    from open_clip.loss import ClipLoss
    from open_clip.model import CLIP

    config = json.loads((MODELS / f"{NAME}.json").read_text())["model_cfg"]
    loss, rng = ClipLoss(), np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CLIP(**config)
        optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=DECAY)
        order = np.zeros(0, np.intp)
        for step in range(steps):
            while len(order) < BATCH:
                order = np.concatenate((order, rng.permutation(len(pool.pictures))))
            rows, order = order[:BATCH], order[BATCH:]
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, steps)
            pictures = torch.from_numpy(augmented(pool.pictures[rows], rng)).permute(0, 3, 1, 2)
            tokens = torch.from_numpy(pool.tokens[rows].astype(np.int64))
            optimizer.zero_grad()
            loss(*network(pictures, tokens)[:3]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                network.logit_scale.clamp_(0, LARGEST_SCALE)
    return network.eval()


def _rate(step: int, steps: int) -> float:
    """Return the learning rate: up in a line, down along a cosine."""
    return float(RATE * min(1, (step + 1) / WARM_UP) * (1 + np.cos(np.pi * step / steps)) / 2)
