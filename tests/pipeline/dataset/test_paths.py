import re

import pytest

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.stages import COLUMNS, STAGES, Scope, Stage

HASH = "0123456789abcdef"
SLICE = "00000007.r2.5000+10"

MARKERS = [
    paths.marker_path(paths.GATHER_FOLDER, "00000000"),
    paths.marker_path(paths.GATHER_FOLDER, SLICE),
    paths.embed_marker("ViT-B-32--openai", "00000000"),
    paths.embed_marker(f"ViT-B-32--openai/scores-{HASH}", SLICE),
    paths.GROUP_MARKER,
    paths.BLOCKLIST_MARKER,
    paths.marker_path(
        paths.round_folder(paths.search_folder(HASH), "merge12"), paths.task_name(1_000_000)
    ),
    paths.marker_path(
        paths.round_folder(paths.search_folder(HASH), "meet"), paths.partition_name(3, 12)
    ),
    paths.marker_path(paths.EVALUATION, HASH),
    paths.marker_path(paths.evaluation_folder(HASH), SLICE),
    paths.marker_path(paths.index_folder("model")),
    paths.select_marker("default"),
    paths.shard_marker("default"),
    paths.marker_path(paths.shard_rounds("default", HASH, "sort"), paths.task_name(3)),
    paths.marker_path(paths.shard_parts("default"), "00123"),
    paths.marker_path(paths.shard_parts("default"), "123456"),
    paths.COLUMNS_MARKER,
    paths.marker_path(paths.pool_blocks(COLUMNS, HASH), paths.task_name(3)),
]
CONTENT = [
    paths.staged(paths.attempt(), 3),
    paths.content(paths.GATHER_FOLDER, SLICE, ".tar"),
    paths.content(paths.GATHER_FOLDER, "00000000", ".parquet"),
    paths.content(paths.GATHER_FOLDER, "00000000", paths.REQUESTS_SUFFIX),
    *(
        paths.beside(marker, suffix)
        for marker, suffix in [
            (MARKERS[2], paths.VECTORS_SUFFIX),
            (MARKERS[3], paths.SCORES_SUFFIX),
            *((MARKERS[6], suffix) for suffix in (".bin", ".npy", ".parquet")),
            (MARKERS[7], ".parquet"),
            (MARKERS[8], ".parquet"),
            (MARKERS[9], ".parquet"),
        ]
    ),
    paths.result("group"),
    paths.result("blocklist"),
    paths.content(paths.pool_blocks(COLUMNS, HASH), paths.task_name(3), ".bin"),
    paths.result(paths.index_folder("model"), ".faiss"),
    paths.result(paths.selection_folder("default")),
    f"{paths.shards_folder('default')}/{paths.shard_file(0)}",
    f"{paths.shards_folder('default')}/{paths.shard_file(123_456)}",
    paths.manifest("default"),
    paths.sizes("default"),
    paths.content(paths.shard_rounds("default", HASH, "partition"), paths.task_name(3), ".bin"),
    paths.content(paths.shard_rounds("default", HASH, "sort"), paths.task_name(3), ".parquet"),
    paths.content(paths.shard_parts("default"), "00000", ".parquet"),
    "tmp.0123456789ab/duckdb_temp_17436_0_storage_DEFAULT-0.tmp",
    "scratch.ab_c12xy/stats.duckdb.wal",
    "scratch.ab_c12xy/00003.tar",
    "scratch.ab_c12xy/00000.arrow",
]
FIXED = [
    paths.PLAN_FILE,
    paths.INDEX_PAGE,
    paths.label_file("0123456789ab"),
    paths.stats_file("default"),
    paths.report_page("default"),
    *(paths.card_file("default", file) for file in paths.CARD_FILES),
    paths.SUPERSEDED,
    paths.retry_layer(1),
    paths.model_record("ViT-B-32--openai"),
    paths.captions_record("org-model-0123456789abcdef"),
]


def _without_attempt(path: str) -> str:
    """Return a name for a test that is the same in every process."""
    return re.sub(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])", "attempt", path)


@pytest.mark.parametrize("path", MARKERS)
def test_markers_are_told(path: str) -> None:
    assert role(path) is Role.MARKER


@pytest.mark.parametrize("path", CONTENT, ids=_without_attempt)
def test_content_is_told(path: str) -> None:
    assert role(path) is Role.CONTENT


@pytest.mark.parametrize("path", FIXED)
def test_fixed_names_are_told(path: str) -> None:
    assert role(path) is Role.FIXED


@pytest.mark.parametrize("path", [*MARKERS, *CONTENT, *FIXED], ids=_without_attempt)
def test_a_name_that_only_looks_alike_is_nobodys(path: str) -> None:
    assert role(f"{path}.bak") is None
    assert role(f"elsewhere/{path}") is None


@pytest.mark.parametrize("stage", [s for s in STAGES if s.scope in (Scope.POOL, Scope.SELECTION)])
def test_a_stage_over_the_pool_is_known_by_its_row_in_the_table(stage: Stage) -> None:
    folder = stage.folder + "/default" * (stage.scope is Scope.SELECTION)
    assert role(paths.marker_path(folder)) is Role.MARKER
    assert role(paths.result(folder)) is Role.CONTENT


def test_a_task_slice_is_read_from_its_name() -> None:
    assert paths.parsed("00000007") == (7, 0, None)
    assert paths.parsed("00000007.r2") == (7, 2, None)
    assert paths.parsed(SLICE) == (7, 2, (5000, 10))
