"""The centroids that the page on thresholds makes from an export."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs/thresholds.md").read_text(encoding="utf-8")


def test_the_clusters_of_a_pool_are_made_from_its_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    topics = np.eye(8)[[0, 3, 5]]
    near = np.repeat(topics, 100, axis=0) + np.random.default_rng(0).normal(0, 0.05, (300, 8))
    (tmp_path / "export/img_emb").mkdir(parents=True)
    vectors = near / np.linalg.norm(near, axis=1, keepdims=True)
    np.save(tmp_path / "export/img_emb/img_emb_0.npy", vectors.astype(np.float16))
    monkeypatch.chdir(tmp_path)
    exec(code.replace(" 1000,", " 3,"), {})
    centroids = np.load("centroids.npy")
    assert sorted((topics @ centroids.T).argmax(axis=1)) == [0, 1, 2]
    assert (topics @ centroids.T).max(axis=1) == pytest.approx(1, abs=0.01)
