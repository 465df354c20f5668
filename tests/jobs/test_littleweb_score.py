from pathlib import Path

import duckdb

from pairsieve.jobs.littleweb.score import score


def test_planted_against_found(tmp_path: Path) -> None:
    truth, stats = tmp_path / "truth.parquet", tmp_path / "stats.duckdb"
    with duckdb.connect(str(stats)) as connection:
        connection.execute(
            """
            CREATE TABLE truth (row INT, defect TEXT, expected_outcome TEXT, expected_rule TEXT,
                                later TEXT, original INT);
            INSERT INTO truth VALUES
                (0, 'original', 'ok', NULL, NULL, NULL),
                (1, 'exact_copy', NULL, 'duplicate', NULL, 0),
                (2, 'resized_copy', NULL, 'duplicate', NULL, 0),
                (3, 'gone', 'http_4xx', NULL, NULL, NULL),
                (4, 'gone', 'http_4xx', NULL, NULL, NULL),
                (5, 'blurred', NULL, 'sharpness', NULL, NULL),
                (6, 'robots', 'robots', NULL, NULL, NULL),
                (7, 'same_pair', 'repeated', 'repeated', NULL, 0),
                (8, 'wrong_caption', 'ok', NULL, 'clip_similarity', NULL);
            CREATE TABLE ledger (row INT, outcome TEXT, failing TEXT[], cluster INT, keep BOOL);
            INSERT INTO ledger VALUES
                (0, 'ok', ['duplicate'], 0, false), (1, 'ok', [], 0, true), (2, 'ok', [], 2, true),
                (3, 'http_4xx', [], NULL, false), (4, 'timeout_total', [], NULL, false),
                (5, 'ok', ['nsfw', 'sharpness'], 5, false), (6, 'ok', [], 6, true),
                (7, 'ok', ['repeated'], 0, false), (8, 'ok', ['clip_similarity'], 8, false);
            """
        )
        connection.execute(f"COPY truth TO '{truth}' (FORMAT parquet)")
    found = {s.defect: (s.planted, s.found, s.kept, s.expected) for s in score(stats, truth)}
    assert found == {
        "original": (1, 1, 0, "ok"),
        "exact_copy": (1, 1, 1, "duplicate"),
        "resized_copy": (1, 0, 1, "duplicate"),
        "gone": (2, 1, 0, "http_4xx"),
        "blurred": (1, 1, 0, "sharpness"),
        "robots": (1, 0, 1, "robots"),
        "same_pair": (1, 1, 0, "repeated"),
        "wrong_caption": (1, 1, 0, "ok"),
    }
