from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import check, plan
from pairsieve.pipeline.check import check_files
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import Input

MODEL = {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}


def recipe(*keep: dict[str, Any], **sections: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep, **sections})


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    hashes = {"uid": ["a"], "perceptual_hash": pa.array([1], pa.uint64())}
    pq.write_table(pa.table(hashes), tmp_path / "h.parquet")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    return {
        "known": {"datasets": [str(tmp_path / "h.parquet")]},
        "decontaminate": {"sets": [{"name": "val", "path": str(tmp_path / "a.png")}]},
    }


def test_a_rule_without_its_section_is_refused() -> None:
    with pytest.raises(BadOption, match="has no `known`; list there the earlier `datasets`"):
        check.check(recipe({"known": {}}))
    with pytest.raises(BadOption, match="has no `decontaminate`; list there the `sets`"):
        check.check(recipe({"eval_overlap": {}}))
    with pytest.raises(BadOption, match="has no `known`"):
        check.check(recipe({"where": "KNOWN_distance IS NULL"}))


def test_a_section_without_a_rule_is_worth_a_warning(sections: dict[str, Any]) -> None:
    known, evaluation = check.check(recipe(**sections))
    assert "no rule in `keep` decides on what it finds; `- known: {}` drops it" in known
    assert "`- eval_overlap: {}` drops it" in evaluation


def test_sections_with_their_rules_are_right(sections: dict[str, Any]) -> None:
    assert check.check(recipe({"known": {}}, {"eval_overlap": {}}, **sections)) == []


def test_to_keep_the_newer_and_to_drop_them_is_refused(sections: dict[str, Any]) -> None:
    newer = {"known": sections["known"] | {"keep": "newer"}}
    assert check.check(recipe(**newer)) == []
    with pytest.raises(BadOption, match="`newer` keeps what is known, and the rule `known` drops"):
        check.check(recipe({"known": {}}, **newer))


def test_cosines_need_vectors_and_vectors_a_model(sections: dict[str, Any]) -> None:
    rule = {"eval_overlap": {"min_cosine": 0.9}}
    with pytest.raises(BadOption, match="say `vectors: true` in `decontaminate`"):
        check.check(recipe(rule, embed=MODEL, **sections))
    sections["decontaminate"]["vectors"] = True
    with pytest.raises(BadOption, match=r"decontaminate.vectors: needs a model"):
        check.check(recipe({"eval_overlap": {}}, decontaminate=sections["decontaminate"]))
    fitting = recipe(rule, {"known": {}}, embed=MODEL, **sections)
    assert check.check(fitting, verbs=["select"]) == []


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    known = {"datasets": [str(tmp_path / "none.parquet")]}
    with pytest.raises(BadOption, match=r"known.datasets: .*none.parquet: no such file"):
        check.check(recipe({"known": {}}, known=known))


def test_a_model_is_needed_by_who_embeds_alone() -> None:
    asked = recipe(embed=MODEL)
    with pytest.raises(BadOption, match=r"embed.pretrained: the weights .* are not downloaded"):
        check.check(asked)
    assert check.check(asked, verbs=["plan", "gather", "group", "select", "shard", "report"]) == []


def test_faiss_is_needed_by_who_groups_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = recipe({"semantic_duplicate": {}}, embed=MODEL)
    monkeypatch.setattr("pairsieve.pipeline.check.find_spec", lambda name: None)
    with pytest.raises(BadOption, match="`semantic_duplicate` needs faiss, which is not installed"):
        check.check(asked, verbs=["group"])
    assert check.check(asked, verbs=["select"]) == []


def test_rules_on_duplicates_that_do_not_agree_are_refused_at_the_start() -> None:
    two = ({"duplicate": {"max_distance": 2}}, {"duplicate": {}, "name": "second"})
    with pytest.raises(BadOption, match="`duplicate` is listed with max_distance 2 and 4"):
        check.check(recipe(*two))


def test_an_unknown_input_format_is_refused_with_the_nearest() -> None:
    recipe = Recipe(input=Input(path="anywhere", format="parqet"))
    with pytest.raises(BadOption, match=r"input\.format: unknown format `parqet`; .*`parquet`\?"):
        check.check(recipe)


def test_the_warning_of_a_downloader_is_for_who_fetches() -> None:
    fetch = {"engine": "img2dataset", "user_agent": "t/1 (+http://127.0.0.1)", "robots": "ignore"}
    assert check.check(recipe(fetch=fetch), verbs=["select"]) == []


def planned(folder: Path, **sections: Any) -> tuple[Recipe, Plan]:
    """Return a recipe over one pair that is only a URL, with an extra column, and its plan."""
    pairs = {"url": ["http://127.0.0.1:1/a"], "text": ["a picture"], "faces": ["[]"]}
    pq.write_table(pa.table(pairs), folder / "pairs.parquet")
    fetch = {"user_agent": "t/1 (+http://127.0.0.1)"}
    content = {"input": {"path": str(folder / "pairs.parquet")}, "fetch": fetch, **sections}
    asked = Recipe.model_validate(content)
    return asked, plan.run(asked, Store.at(folder / "dataset"))


def test_urls_without_a_user_agent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="fetch: missing; the input has only URLs"):
        check.check_input(*planned(tmp_path, fetch=None))


@pytest.mark.parametrize("column", ["widht", "pages"])
def test_a_rule_on_a_column_there_is_not_is_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(BadOption, match=f"`{column} > 1` does not fit"):
        check.check_input(*planned(tmp_path, keep=[{"where": f"{column} > 1"}]))


def test_boxes_in_a_column_there_is_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"no column `face` .*known: faces; did you"):
        check.check_input(*planned(tmp_path, image={"blur_boxes": "face"}))


def test_what_fits_the_input_is_fine(tmp_path: Path) -> None:
    keep = [{"where": "faces IS NULL"}, {"where": "width > 1"}]
    check.check_input(*planned(tmp_path, image={"blur_boxes": "faces"}, keep=keep))


def opened(path: Path, rule: str, **options: Any) -> list[str]:
    """Check the rule on files that are not planned."""
    sections: Any = {"input": {"path": str(path), **options}, "keep": [{"where": rule}]}
    sections["fetch"] = {"user_agent": "test (+mailto:test@example.org)"}
    chosen = Recipe.model_validate(sections)
    return check_files(chosen, find_files(chosen.input, ""))[0]


LATIN_1 = "url,text\nhttp://a/1,caf\xe9\nhttp://a/2,plain\n".encode("latin-1")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", LATIN_1),
        ("a.tsv", LATIN_1.replace(b",", b"\t")),
        ("a.jsonl", b'{"url": "http://a/1", "text": "caf\xe9"}\n'),
        ("a.txt", b"http://a/caf\xe9\n"),
    ],
)
def test_another_encoding_is_refused_before_there_is_a_plan(
    tmp_path: Path, name: str, body: bytes
) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(BadOption, match=r"none of 1 values .*say `input.encoding: cp1252`"):
        opened(tmp_path / name, "width > 1")
    assert opened(tmp_path / name, "width > 1", encoding="cp1252")


@pytest.mark.parametrize("second", ["caf\xe9", "plain"])
def test_of_a_long_file_the_beginning_warns_of_another_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.unit.input_columns.ROWS_READ", 2)
    third = "http://a/3,caf\xe9\n".encode()
    (tmp_path / "a.csv").write_bytes(LATIN_1.replace(b"plain", second.encode()) + third)
    chosen = Recipe.model_validate(
        {"input": {"path": str(tmp_path / "a.csv")}, "fetch": {"user_agent": "t/1 (+http://a)"}}
    )
    _, warnings = check_files(chosen, find_files(chosen.input, ""))
    said = [one.partition(": in its first 2 rows ")[2].partition(" is ")[0] for one in warnings]
    assert said == (["none of 1 values beyond ASCII"] if second == "plain" else [])


def test_a_rule_on_a_column_that_no_file_has_is_refused_before_there_is_a_plan(
    tmp_path: Path,
) -> None:
    (tmp_path / "b").mkdir()
    pq.write_table(pa.table({"url": ["u"], "text": ["t"], "n": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b/lang=en.csv").write_text("url,text,page\nu,t,p\n")
    (tmp_path / "c.jsonl").write_text('{"url": "u", "text": "t"}\n')
    (tmp_path / "d.txt").write_text("u\n")
    assert opened(tmp_path / "a.parquet", "n > 1") == []
    assert opened(tmp_path / "b", "page = 'p'") == [
        'Read with delimiter comma, quote `"`, encoding utf-8, with a header: lang=en.csv.'
    ]
    for name, rule in (("a.parquet", "page = 'p'"), ("b", "n = '1'"), ("d.txt", "n > 1")):
        with pytest.raises(BadOption, match=r"keep.*(`n`|`page`)"):
            opened(tmp_path / name, rule)
    assert opened(tmp_path / "c.jsonl", "n > 1") == ["Read with encoding utf-8: c.jsonl."]


def test_a_file_without_the_named_columns_is_refused_before_there_is_a_plan(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("url;text\nu;t\n")
    with pytest.raises(BadOption, match=r"input\.delimiter: .*a\.csv: the header is one cell"):
        opened(tmp_path / "a.csv", "width > 1")
    with pytest.raises(BadOption, match=r"input\.sha256: .* no column `sum`"):
        opened(tmp_path / "a.csv", "width > 1", delimiter=";", sha256="sum")


def test_more_files_than_are_opened_are_told_and_refuse_no_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.check.FILES_OPENED", 1)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("u\n")
    assert opened(tmp_path, "n > 1")[1] == "Of 2 files the first 1 were opened."
