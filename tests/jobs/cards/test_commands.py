from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import PutGathered, PutPlan
from tests.jobs.conftest import command

from pairsieve.pipeline import select
from pairsieve.pipeline.cards import merkle
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.recipe import Recipe

RECIPE = """input: {path: p}
fetch: {user_agent: "lab/1 (+mailto:me@lab.example)", hosts: {a.example: {per_s: 1}}}
"""


def test_the_command_writes_every_document_and_says_where(
    tmp_path: Path, put_plan: PutPlan, put_gathered: PutGathered
) -> None:
    store = Store.at(tmp_path / "dataset")
    put_plan(store)
    put_gathered(store, [{"fetch_bytes": 5, "fetched_at": datetime(2026, 3, 1, tzinfo=UTC)}])
    select.run(Recipe.model_validate({"input": {"path": "p"}}), store, Serial(), "default")
    about, recipe = tmp_path / "about.yaml", tmp_path / "r.yaml"
    about.write_text("title: Mine\n")
    recipe.write_text(RECIPE)
    done = command("card", store.url, "--about", about, "--recipe", recipe)
    assert (done.returncode, done.stderr) == (0, "")
    written = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in written] == [
        *("README.md", "training-content.md", "quality.md", "takedowns.csv", "domains.csv")
    ]
    assert "# Mine\n" in written[0].read_text()
    assert "at once \\(hosts with another pace: 1\\);" in written[1].read_text()
    proof = command("card", store.url, "--prove", "00000.tar")
    assert proof.returncode == 2
    assert "`default` has no shards of its latest run" in " ".join(proof.stderr.split())


def test_a_proof_is_checked_and_another_file_or_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"a")
    (tmp_path / "b.tar").write_bytes(b"b")
    shards = {name: merkle.sha256_of(tmp_path / name) for name in ("a.tar", "b.tar")}
    proof, root = tmp_path / "proof.json", merkle.root(shards)
    proof.write_text(merkle.prove(shards, "a.tar").dumps())
    good = command("check-proof", proof, tmp_path / "a.tar", "--root", root.upper())
    assert (good.returncode, good.stdout) == (0, f"{tmp_path}/a.tar is a.tar, one of 2 shards\n")
    assert command("check-proof", proof, tmp_path / "b.tar", "--root", root).returncode == 1
    assert command("check-proof", proof, tmp_path / "a.tar", "--root", "0" * 64).returncode == 1
    assert command("check-proof", proof, tmp_path / "none", "--root", root).returncode == 2
