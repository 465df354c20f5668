from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.image_cluster import ImageCluster
from pairsieve.schemas.columns import IMAGE_CLUSTER

LEDGER = pa.table({"image_cluster": pa.array([0, 1, 2, 3, 9, None], IMAGE_CLUSTER.type)})


def kept(path: Path | None) -> list[bool | None]:
    rule = ImageCluster(str(path or "")).rule()
    return [row[0] for row in duckdb.from_arrow(LEDGER).project(rule).fetchall()]


def test_keeps_the_clusters_listed(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("3\n1\n")
    np.save(tmp_path / "list.npy", np.array([1, 3, 3], np.int32))
    expected = [False, True, False, True, False, None]
    assert kept(tmp_path / "list.txt") == kept(tmp_path / "list.npy") == expected


def test_without_a_list_all_that_is_measured_stays() -> None:
    assert kept(None) == [True] * 5 + [None]


def test_a_list_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("3")
    first = kept(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("0 9")
    assert first == [False, False, False, True, False, None]
    assert kept(tmp_path / "list.txt") == [True, False, False, False, True, None]


@pytest.mark.parametrize("text", ["", "a", "1.5", "-1", "10000000"])
def test_refuses_what_lists_no_clusters(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=r"path: .*list.txt: "):
        ImageCluster(str(tmp_path / "list.txt"))


def test_refuses_an_array_of_another_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "list.npy", np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="must list whole numbers"):
        ImageCluster(str(tmp_path / "list.npy"))


def test_refuses_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file, and it lists the clusters to keep"):
        ImageCluster(str(tmp_path / "none.npy"))
