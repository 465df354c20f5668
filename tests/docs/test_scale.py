"""The tables of docs/scale.md are what `bench scale` makes of the costs measured beside it."""

from pathlib import Path

from pairsieve.jobs.bench_scale.table import Cluster, markdown, read

DOCS = Path(__file__).parents[2] / "docs"


def test_every_row_is_reckoned_from_what_was_measured() -> None:
    costs = [read(path) for path in sorted((DOCS / "measured").glob("decide-*.json"))]
    page = (DOCS / "scale.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in page if line.startswith("|")]
    made = markdown(costs, [10**9, 10**10], Cluster(64, 3.0))
    assert tables == [line for line in made if line]
