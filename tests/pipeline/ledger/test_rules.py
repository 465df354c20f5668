import datetime
import time
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pairsieve.filters.order import Phase
from pairsieve.pipeline.ledger.rules import Rule, check, gates, passing, rules
from pairsieve.schemas.columns import COLUMNS, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

MODEL = {"model": "ViT-B-32", "pretrained": "openai"}


def recipe(*keep: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "embed": MODEL, "keep": keep})


def refusal(*keep: dict[str, Any]) -> str:
    with pytest.raises(BadOption) as refused:
        rules(recipe(*keep))
    return str(refused.value)


def test_gates_come_first_by_stage_and_the_rest_keeps_its_order() -> None:
    ordered_rules = rules(
        recipe(
            {"duplicate": {}},
            {"sharpness": {}, "gate": True},
            {"aspect_ratio": {}},
            {"language": {}, "gate": True},
            {"caption_words": {}, "gate": True},
        )
    )
    assert [rule.name for rule in ordered_rules] == [
        "language",
        "caption_words",
        "sharpness",
        "duplicate",
        "aspect_ratio",
    ]


@pytest.mark.parametrize(
    ("sql", "phase"),
    [
        ("caption_words > 1", Phase.TEXT),
        ("license = 'CC0'", Phase.TEXT),
        ("LANGUAGE = 'en'", Phase.TEXT),
        ("ledger.width > 1", Phase.IMAGE),
        ("caption_words > 1 OR Width > 1", Phase.IMAGE),
        ("clip_similarity > 0.2 AND width > 1", Phase.VECTORS),
        ("duplicate_of IS NULL", Phase.POOL),
    ],
)
def test_a_condition_waits_for_the_last_of_its_columns(sql: str, phase: Phase) -> None:
    (rule,) = rules(recipe({"where": sql}))
    assert (rule.name, rule.sql, rule.phase) == (sql, sql, phase)


def test_gates_are_given_by_phase() -> None:
    gated = recipe({"caption_words": {}, "gate": True}, {"where": "width > 1", "gate": True})
    assert [rule.name for rule in gates(gated, Phase.TEXT)] == ["caption_words"]
    assert [rule.name for rule in gates(gated, Phase.IMAGE)] == ["width > 1"]


def test_what_is_known_too_late_cannot_be_a_gate() -> None:
    assert "known only after `embed`" in refusal({"clip_similarity": {}, "gate": True})
    assert "known only after `group`" in refusal({"duplicate": {}, "gate": True})


def test_unknown_filter_and_option_name_the_nearest() -> None:
    assert "did you mean `sharpness`?" in refusal({"sharpnes": {}})
    message = refusal({"caption_words": {}}, {"aspect_ratio": {"max_ration": 3}})
    assert message.startswith("keep.1.aspect_ratio.max_ration: unknown option")
    assert message.endswith("did you mean `max_ratio`?")


def test_impossible_option_values_name_place_and_value() -> None:
    assert "keep.0.aspect_ratio" in refusal({"aspect_ratio": {"max_ratio": 0.5}})
    message = refusal({"aspect_ratio": {"max_ratio": "wide"}})
    assert message == "keep.0.aspect_ratio.max_ratio: must be a number, got 'wide'"
    message = refusal({"language": {"languages": "en"}})
    assert message.endswith("languages: must be a list, `[one, two]`, got 'en'")


@pytest.mark.parametrize("sql", ["width >", "1); DROP TABLE ledger; SELECT (1"])
def test_a_condition_that_is_not_sql_is_refused(sql: str) -> None:
    assert "not a DuckDB condition" in refusal({"where": sql})


def test_two_rules_of_one_name_are_refused_until_one_is_renamed() -> None:
    first: dict[str, Any] = {"aspect_ratio": {}}
    second: dict[str, Any] = {"aspect_ratio": {"max_ratio": 2}}
    assert "give one of them a `name:`" in refusal(first, second)
    named = rules(recipe(first, second | {"name": "strict"}))
    assert [rule.name for rule in named] == ["aspect_ratio", "strict"]


@pytest.mark.parametrize(
    "rule",
    [
        {"clip_similarity": {}},
        {"where": "width > 1 OR NSFW < 0.1"},
        {"top_fraction": 0.3, "of": "clip_similarity"},
    ],
)
def test_a_models_score_needs_a_model(rule: dict[str, Any]) -> None:
    without = Recipe.model_validate({"input": {"path": "p"}, "keep": [rule]})
    with pytest.raises(BadOption, match=r"keep\.0: .*the recipe has no `embed`"):
        rules(without)
    assert len(rules(recipe(rule))) == 1


def test_top_fraction_needs_of() -> None:
    assert "needs `of`" in refusal({"top_fraction": 0.3})


def test_of_and_by_are_those_of_top_fraction() -> None:
    for key in ("of", "by"):
        with pytest.raises(ValidationError, match=f"`{key}` belongs to `top_fraction`"):
            recipe({"where": "true", key: "width"})


def test_top_fraction_by_a_column_takes_its_share_of_each_value() -> None:
    import duckdb

    (rule,) = rules(recipe({"top_fraction": 0.5, "of": "score", "by": "language"}))
    assert rule.name == "top_fraction score by language"
    ledger = pa.table(
        {
            "row": range(6),
            "uid": list("abcdef"),
            "score": [0.1, 0.9, 0.8, 0.5, 0.4, 0.3],
            "language": ["de", "en", "en", "en", None, None],
        }
    )
    with duckdb.connect() as connection:
        connection.register("ledger", ledger)
        kept = connection.execute(f"SELECT row FROM ledger QUALIFY {rule.sql} ORDER BY row")
        assert kept.fetchall() == [(0,), (1,), (2,), (4,)]


def test_top_fraction_is_exact_rounded_up_and_breaks_ties_by_uid() -> None:
    import duckdb

    (rule,) = rules(recipe({"top_fraction": 0.3, "of": "score"}))
    ledger = pa.table(
        {
            "row": range(8),
            "uid": ["h", "g", "f", "e", "d", "c", "b", "a"],
            "score": [0.9, 0.5, 0.5, 0.5, 0.1, None, 0.0, 0.2],
        }
    )
    with duckdb.connect() as connection:
        connection.register("ledger", ledger)
        verdicts = connection.execute(f"SELECT row, {rule.sql} FROM ledger ORDER BY row").fetchall()
    # ceil(0.3 * 7) = 3: 0.9, then of the three 0.5 those with the smallest uid: e and f.
    assert [row for row, keeps in verdicts if keeps] == [0, 2, 3]
    assert [row for row, keeps in verdicts if keeps is None] == [5]


def test_passing_takes_null_as_no_and_no_rules_as_yes() -> None:
    table = pa.table({"width": [10, 20, None], "text": ["a", "b", "c"]})
    wide = Rule("wide", "width >= 20", True, Phase.IMAGE)
    assert passing(table, [wide]).tolist() == [False, True, False]
    assert passing(table, []).tolist() == [True, True, True]
    assert passing(table.slice(0, 0), [wide]).tolist() == []


def test_check_finds_columns_that_do_not_exist() -> None:
    schema = arrow_schema(COLUMNS)
    check(rules(recipe({"where": "width > 1"}, {"duplicate": {}})), schema)
    with pytest.raises(BadOption, match=r"`widht > 1` does not fit.*\n*.*width"):
        check([Rule("widht > 1", "widht > 1", False, Phase.TEXT)], schema)


@pytest.mark.parametrize(
    "sql",
    [
        "EXISTS (FROM read_csv('/etc/passwd'))",
        "width > (SELECT count(*) FROM read_text('/etc/hostname'))",
        "(SELECT count(*) FROM '/etc/passwd.csv') > 0",
        "width > ?",
        "text SIMILAR",
        "no_such_function(width)",
    ],
)
def test_check_refuses_what_reads_files_or_is_no_condition(sql: str) -> None:
    with pytest.raises(BadOption, match="keep: the rule `mine` does not fit"):
        check([Rule("mine", sql, False, Phase.TEXT)], arrow_schema(COLUMNS))


def test_a_gate_sees_no_time_zone_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.datetime(2024, 1, 1, 23, tzinfo=datetime.UTC)
    table = pa.table({"shot": pa.array([moment], pa.timestamp("us", "UTC"))})
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert passing(table, [Rule("h", "hour(shot) = 23", True, Phase.TEXT)]).tolist() == [True]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("sql", "passes"),
    [
        ("cast(text AS INT) > 3", [True, False, False, False]),
        ("cast(text AS INT) > 3 -- a comment", [True, False, False, False]),
        ("cast(text || '0' AS INT) >= 0 /* another */", [True, False, True, False]),
        ("text IN (SELECT '7')", [True, False, False, False]),
        ("row_number() OVER (ORDER BY text) > 0", [True] * 4),
    ],
)
def test_a_row_on_which_a_rule_fails_does_not_pass(sql: str, passes: list[bool]) -> None:
    table = pa.table({"text": ["7", "x", "", None]})
    assert passing(table, [Rule("mine", sql, True, Phase.TEXT)]).tolist() == passes


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("random() < 0.5", "`random` gives another answer each time"),
        ("length(text) > 3 AND now() > '2024-01-01'", "`now` gives another answer"),
        ("current_date > '2024-01-01'", "`current_date` gives another answer"),
        ("width > ?", "it has a parameter"),
        ("width > $limit", "it has a parameter"),
    ],
)
def test_a_rule_that_depends_on_more_than_the_row_is_refused(sql: str, told: str) -> None:
    assert told in refusal({"where": sql})
