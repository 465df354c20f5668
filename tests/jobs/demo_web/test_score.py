from pathlib import Path

import duckdb

from pairsieve.jobs.demo_web.score import CaptionScore, score_captions, score_defects


def test_planted_and_detected(tmp_path: Path) -> None:
    truth, stats = tmp_path / "truth.parquet", tmp_path / "stats.duckdb"
    with duckdb.connect(str(stats)) as connection:
        connection.execute(
            """
            CREATE TABLE truth (row INT, defect TEXT, expected_outcome TEXT, expected_rule TEXT,
                                original INT);
            INSERT INTO truth VALUES
                (0, 'original', 'ok', NULL, NULL),
                (1, 'exact_copy', NULL, 'duplicate', 0),
                (2, 'resized_copy', NULL, 'duplicate', 0),
                (3, 'gone', 'http_4xx', NULL, NULL),
                (4, 'gone', 'http_4xx', NULL, NULL),
                (5, 'blurred', NULL, 'sharpness', NULL),
                (6, 'robots', 'robots', NULL, NULL),
                (7, 'same_pair', 'repeated', 'repeated', 0),
                (8, 'wrong_caption', NULL, 'clip_similarity', NULL),
                (9, 'phrase', NULL, 'caption_frequency', NULL);
            CREATE TABLE ledger (row INT, outcome TEXT, failing TEXT[], cluster INT, keep BOOL);
            INSERT INTO ledger VALUES
                (0, 'ok', ['duplicate'], 0, false), (1, 'ok', [], 0, true), (2, 'ok', [], 2, true),
                (3, 'http_4xx', [], NULL, false), (4, 'timeout_total', [], NULL, false),
                (5, 'ok', ['nsfw', 'sharpness'], 5, false), (6, 'ok', [], 6, true),
                (7, 'ok', ['repeated'], 0, false), (8, 'ok', ['clip_similarity'], 8, false),
                (9, 'ok', ['caption_frequency'], 9, false);
            """
        )
        connection.execute(f"COPY truth TO '{truth}' (FORMAT parquet)")
    scores = {
        s.defect: (s.planted, s.detected, s.kept, s.expected) for s in score_defects(stats, truth)
    }
    assert scores == {
        "original": (1, 1, 0, "ok"),
        "exact_copy": (1, 1, 1, "duplicate"),
        "resized_copy": (1, 0, 1, "duplicate"),
        "gone": (2, 1, 0, "http_4xx"),
        "blurred": (1, 1, 0, "sharpness"),
        "robots": (1, 0, 1, "robots"),
        "same_pair": (1, 1, 0, "repeated"),
        "wrong_caption": (1, 1, 0, "clip_similarity"),
        "phrase": (1, 1, 0, "caption_frequency"),
    }


def test_captions_that_say_nothing_and_pairs_without_a_score_count_neither_way(
    tmp_path: Path,
) -> None:
    truth, stats = tmp_path / "truth.parquet", tmp_path / "stats.duckdb"
    with duckdb.connect(str(stats)) as connection:
        connection.execute(
            """
            CREATE TABLE truth (row INT, defect TEXT);
            INSERT INTO truth VALUES
                (0, 'wrong_caption'), (1, 'wrong_caption'), (2, 'wrong_caption'), (3, 'fine'),
                (4, 'webp'), (5, 'blurred'), (6, 'phrase'),
                (7, 'placeholder_card'), (8, 'robots'), (9, 'fine');
            CREATE TABLE ledger (row INT, failing TEXT[], clip_similarity FLOAT);
            INSERT INTO ledger VALUES
                (0, ['clip_similarity'], 0.1), (1, ['sharpness', 'clip_similarity'], 0.0),
                (2, [], 0.8), (3, ['clip_similarity'], 0.1), (4, [], 0.7), (5, ['sharpness'], 0.6),
                (6, ['clip_similarity'], 0.1), (7, ['clip_similarity'], 0.2),
                (8, ['clip_similarity'], NULL), (9, [], 0.9);
            """
        )
        connection.execute(f"COPY truth TO '{truth}' (FORMAT parquet)")
    score = score_captions(stats, truth)
    assert score == CaptionScore(wrong=3, wrong_refused=2, true_refused=1)
    assert (score.precision, score.recall) == (2 / 3, 2 / 3)
    assert (CaptionScore(0, 0, 0).precision, CaptionScore(0, 0, 0).recall) == (1, 1)
