"""The command line as a user meets it; what concerns the process is run in one of its own."""

import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.jobs.conftest import command

from pairsieve.pipeline.dataset.marker import Marker

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    pairs = pa.table({"url": ["http://127.0.0.1:1/a"], "caption": ["a picture"]})
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    content = {
        "input": {"path": "pairs.parquet", "text": "caption"},
        "fetch": {
            "user_agent": "test (a@b.example)",
            "allow_networks": ["127.0.0.0/8"],
            "ports": [1],
        },
        "keep": [{"aspect_ratio": {"max_ratio": 3}}],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "recipe.yaml"


def test_help_names_every_verb() -> None:
    said = process("--help").stdout
    for verb in [
        "init",
        "plan",
        "gather",
        "embed",
        "group",
        "select",
        "shard",
        "report",
        "run",
        "status",
        "verify",
        "demo",
        "gc",
        "hashes",
        "export",
        "search",
        "sql",
        "explore",
    ]:
        assert f" {verb} " in said


def test_init_writes_a_recipe_that_loads_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert command("init", path).returncode == 0
    (tmp_path / "pairs").mkdir()
    said = command("plan", path, "--dataset", tmp_path / "d")
    assert (said.returncode, "input.path: no file matches" in said.stderr) == (2, True)
    written = path.read_bytes()
    again = command("init", path)
    assert (again.returncode, path.read_bytes()) == (2, written)
    assert "exists already" in again.stderr


def test_a_wrong_recipe_is_refused_before_anything_is_touched(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "shards: {}\n")
    said = process("run", recipe, "--dataset", recipe.parent / "d")
    assert said.returncode == 2
    assert said.stderr.startswith("pairsieve: ")
    assert "shards: unknown key" in said.stderr
    assert "did you mean `shard`?" in said.stderr
    assert not (recipe.parent / "d").exists()


def test_a_wrong_rule_is_refused_before_anything_is_touched(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("max_ratio: 3", "max_ratio: 0"))
    said = command("gather", recipe, "--dataset", recipe.parent / "d")
    assert said.returncode == 2
    assert "keep.0.aspect_ratio" in said.stderr
    assert not (recipe.parent / "d").exists()


def test_a_model_that_cannot_be_had_is_refused_before_anything_is_touched(recipe: Path) -> None:
    (recipe.parent / "tiny.json").write_text("{}")
    model = "embed: {model: tiny.json, pretrained: missing.pt}\n"
    recipe.write_text(recipe.read_text() + model)
    said = command("run", recipe, "--dataset", recipe.parent / "d")
    assert said.returncode == 2
    assert "embed." in said.stderr
    assert not (recipe.parent / "d").exists()


def test_wrong_use_is_exit_code_2(recipe: Path) -> None:
    assert process("run", recipe).returncode == 2
    assert process("fly").returncode == 2
    assert process("run", recipe, "--dataset", "ftp://x/y").returncode == 2


def test_verbs_one_by_one_make_what_run_makes(recipe: Path) -> None:
    dataset = recipe.parent / "d"
    options = (recipe, "--dataset", dataset)
    engine = ("--engine", "serial", "--workers", "1")
    assert command("plan", *options).stdout == "1 pairs in 1 units\n"
    assert command("gather", *options, *engine).returncode == 0
    assert command("group", *options, *engine).returncode == 0
    assert "outcome" in command("select", *options).stdout
    assert "0 samples in" in command("shard", *options, *engine).stdout
    *written, rate = command("report", *options).stdout.splitlines()
    assert "(127.0.0.1; 0.0" in rate
    assert written == [
        f"{dataset}/report/default/stats.duckdb",
        f"{dataset}/report/default/report.html",
    ]
    status = json.loads(command("status", dataset, "--json").stdout)
    assert status["outcomes"] == {"refused": 1}
    assert (status["failed"], status["kept"], status["in_shards"]) == (1, 0, 0)


def test_options_of_the_engine_are_refused_where_none_runs(recipe: Path) -> None:
    said = command("plan", recipe, "--dataset", recipe.parent / "d", "--workers", "2")
    assert (said.returncode, "No such option: --workers" in said.stderr) == (2, True)
    assert not (recipe.parent / "d").exists()


def test_check_says_fine_and_leaves_nothing(recipe: Path) -> None:
    said = command("check", recipe, "--dataset", recipe.parent / "d")
    assert (said.returncode, said.stdout, said.stderr) == (0, "fine\n", "")
    assert not (recipe.parent / "d").exists()


def test_plan_and_check_tell_how_the_files_are_written(recipe: Path) -> None:
    (recipe.parent / "pairs.csv").write_text("url,text\nhttp://127.0.0.1/,t\n")
    content = yaml.safe_load(recipe.read_text())
    content["input"] = {"path": str(recipe.parent / "pairs.csv")}
    recipe.write_text(yaml.safe_dump(content))
    told = 'Read with delimiter comma, quote `"`, encoding utf-8, with a header: pairs.csv.\n'
    assert command("check", recipe).stdout == f"{told}fine\n"
    dataset = recipe.parent / "d"
    planned = command("plan", recipe, "--dataset", dataset)
    assert planned.stdout == f"{told}1 pairs in 1 units\n"
    assert command("check", recipe, "--dataset", dataset).stdout == f"{told}fine\n"


def test_check_says_what_is_not_fine(recipe: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"keep": [{"known": {}}]}))
    said = command("check", recipe)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("pairsieve: keep: a rule asks what is known, and the recipe has")
    assert said.stderr.count("\n") == 1


def test_check_holds_a_recipe_against_the_plan_of_a_dataset(recipe: Path) -> None:
    dataset = recipe.parent / "d"
    assert command("plan", recipe, "--dataset", dataset).returncode == 0
    assert command("check", recipe, "--dataset", dataset).stdout == "fine\n"
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"image": {"min_side": 64}}))
    assert command("check", recipe).stdout == "fine\n"
    said = command("check", recipe, "--dataset", dataset)
    assert (said.returncode, "planned with other measuring options" in said.stderr) == (2, True)


def test_check_warns_and_is_fine(recipe: Path) -> None:
    hashes = {"uid": ["a"], "perceptual_hash": pa.array([1], pa.uint64())}
    pq.write_table(pa.table(hashes), recipe.parent / "h.parquet")
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"known": {"datasets": ["h.parquet"]}}))
    said = command("check", recipe)
    assert (said.returncode, said.stdout) == (0, "fine\n")
    assert said.stderr.startswith("Warning: the recipe has `known`, and no rule in `keep` decides")


def test_status_of_nothing_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    said = command("status", tmp_path / "none")
    assert said.returncode == 2
    assert "no dataset here" in said.stderr
    assert not (tmp_path / "none").exists()


def test_status_complains_when_the_counts_do_not_add_up(recipe: Path) -> None:
    dataset = recipe.parent / "d"
    command("run", recipe, "--dataset", dataset, "--engine", "serial")
    path = dataset / "gather/00000000.json"
    path.write_bytes(replace(Marker.loads(path.read_bytes()), rows=2).dumps())
    said = process("status", dataset)
    assert said.returncode == 1
    assert "does not add up" in said.stderr


def test_verify_says_what_is_damaged_and_which_command_makes_it_again(recipe: Path) -> None:
    dataset = recipe.parent / "d"
    run = ("run", recipe, "--dataset", dataset, "--engine", "serial")
    command(*run)
    verify = ("verify", dataset, "--engine", "serial")
    said = command(*verify)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.endswith("bytes read; 0 things are wrong\n")
    (file,) = (dataset / "select/default").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    wrong = f"{file.relative_to(dataset)}: its bytes are not those that were committed (SHA-256)"
    again = "`pairsieve select --name default` makes it again"
    said = command(*verify)
    assert said.returncode == 1
    first, _, last = said.stdout.splitlines()
    assert first == f"{wrong}; {again} once its marker is deleted"
    assert last == f"`pairsieve verify {dataset} --repair` deletes such markers"
    said = command(*verify, "--repair")
    assert said.returncode == 1
    first, _, last = said.stdout.splitlines()
    assert (first, last) == (wrong, f"select/default/done.json: deleted; {again}")
    command(*run)
    assert command(*verify).returncode == 0


def test_sharding_before_selecting_says_what_to_do(recipe: Path) -> None:
    said = command("shard", recipe, "--dataset", recipe.parent / "d", "--engine", "serial")
    assert said.returncode == 2
    assert "no dataset here yet; `pairsieve plan` or `run` makes one" in said.stderr


def test_hashes_of_one_dataset_make_the_other_known(tmp_path: Path, recipe: Path) -> None:
    """A dataset that is known to itself, by its file of hashes, has nothing left."""
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for number in range(3):
            image = Image.effect_noise((64 + number, 64), 90 + number).convert("RGB")
            image.save(tmp_path / f"{number}.png")
            tar.add(tmp_path / f"{number}.png", f"{number}.png")
            (tmp_path / f"{number}.txt").write_text(f"picture {number}")
            tar.add(tmp_path / f"{number}.txt", f"{number}.txt")
    content = {"input": {"path": "images"}}
    recipe.write_text(yaml.safe_dump(content))
    serial = ("--engine", "serial", "--dataset", tmp_path / "d")
    assert command("run", recipe, *serial).returncode == 0
    out = tmp_path / "hashes.parquet"
    said = command("hashes", tmp_path / "d", "--out", out, "--name", "default")
    assert (said.returncode, said.stdout) == (0, f"Wrote {out}\n")
    assert pq.read_table(out).num_rows == 3
    again = content | {"known": {"datasets": ["hashes.parquet"]}}
    recipe.write_text(yaml.safe_dump(again))
    warned = command("group", recipe, *serial)
    assert "Warning: the recipe has `known`, and no rule in `keep` decides" in warned.stderr
    recipe.write_text(yaml.safe_dump(again | {"keep": [{"known": {}}]}))
    done = command("run", recipe, *serial)
    assert done.returncode == 0
    assert "Warning: no pair survives: `known` drops the most, 3 of 3" in done.stderr
    assert "no rule in `keep` decides" not in done.stderr
    status = json.loads(command("status", tmp_path / "d", "--json").stdout)
    assert (status["kept"], status["dropped"]) == (0, 3)
    said = command("hashes", tmp_path / "d", "--out", out, "--name", "none", "--force")
    assert said.returncode == 2
    assert "there is no selection `none`" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("export", "d", "out"), "holds no vectors"),
        (("search", "d", "a red bus"), "holds no vectors"),
        (("search", "d"), "a text, or --image FILE"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_a_reason(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    verb, *places = arguments
    said = command(verb, *(tmp_path / p if p in ("d", "out") else p for p in places))
    assert (said.returncode, complaint in said.stderr) == (2, True)
    assert not list(tmp_path.iterdir())
