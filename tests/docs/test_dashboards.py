"""The dashboards: every query is parsed or run, and names only what is there."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import promql_parser
import pytest
import yaml
from tests.pipeline.explore.dataset import Finished

from pairsieve.jobs.live.metrics import GPUS, OUTCOMES, PROCESSORS, STAGE_METRICS
from pairsieve.pipeline.dataset.paths import stats_file

FOLDER = Path(__file__).parents[2] / "docs/dashboards"
GRAFANA: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
EXPRESSIONS = [t["expr"] for panel in GRAFANA["panels"] for t in panel["targets"]]
METRICS = {*(metric.name for metric in STAGE_METRICS), OUTCOMES[0], PROCESSORS[0], GPUS[0]}
EVIDENCE = FOLDER / "evidence"
PAGES = sorted((EVIDENCE / "pages").glob("*.md"))
QUERY = re.compile(r"```sql (\w+)\n(.*?)```", re.DOTALL)
COMPONENT = re.compile(r"<(\w+) data=\{(\w+)\}([^>]*?)(?:/>|>(.*?)</\1>)", re.DOTALL)
COLUMNS = re.compile(r"\b(?:x|y|series|value|id)=(?:(\w+)|\{\[(.*?)\]\})")
Tables = dict[str, Any]
Answers = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_of_grafana_is_one_of_prometheus(expression: str) -> None:
    filled = expression.replace("$__rate_interval", "5m").replace("$instance", ".+")
    assert "$" not in filled
    promql_parser.parse(filled)


def test_grafana_asks_for_every_metric_and_no_other() -> None:
    asked = set(re.findall(r"pairsieve_\w+", " ".join(EXPRESSIONS)))
    (listed,) = [v["query"]["query"] for v in GRAFANA["templating"]["list"] if v["type"] == "query"]
    assert asked == METRICS
    assert re.findall(r"pairsieve_\w+", listed) == [PROCESSORS[0]]


def test_panels_lie_beside_one_another() -> None:
    cells = [
        (x, y)
        for panel in GRAFANA["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in GRAFANA["panels"]}) == len(GRAFANA["panels"])


def test_prometheus_reads_the_port_of_the_page() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    (address,) = job["static_configs"][0]["targets"]
    assert f"http://{address}/metrics" in (FOLDER.parent / "live.md").read_text()


@pytest.fixture(scope="module")
def sources(finished: Finished) -> Tables:
    """Return what each source of Evidence gives of a real stats.duckdb."""
    folder = EVIDENCE / "sources/pairsieve"
    options = yaml.safe_load((folder / "connection.yaml").read_text())
    assert options["type"] == "duckdb"
    path = finished.store.location(stats_file("default"))
    with duckdb.connect(path, read_only=True) as stats:
        return {
            query.stem: stats.sql(query.read_text()).to_arrow_table()
            for query in folder.glob("*.sql")
        }


def answers(page: str, sources: Tables) -> Answers:
    """Return the rows of every query of a page; what is chosen is the first there is to choose."""
    found: Answers = {}
    with duckdb.connect() as database:
        database.execute("CREATE SCHEMA pairsieve")
        for name, table in sources.items():
            database.register("given", table)
            database.execute(f"CREATE TABLE pairsieve.{name} AS FROM given")
        for name, query in QUERY.findall(page):
            for choice in re.findall(r"\$\{inputs\.(\w+)\.value\}", query):
                _, data, words, _ = next(c for c in COMPONENT.findall(page) if choice in c[2])
                (column,) = re.findall(r"value=(\w+)", words)
                value = found[data][0][column]
                query = query.replace(f"${{inputs.{choice}.value}}", value)
            found[name] = database.sql(query).to_arrow_table().to_pylist()
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_shows_columns_that_its_queries_give(path: Path, sources: Tables) -> None:
    page = path.read_text()
    found = answers(page, sources)
    assert [name for name, rows in found.items() if not rows] == []
    shown = COMPONENT.findall(page)
    assert shown
    for _, query, words, inside in shown:
        for one, several in COLUMNS.findall(words + inside):
            for column in [one] if one else re.findall(r"\w+", several):
                assert column in found[query][0], (query, column)


def test_every_source_is_used(sources: Tables) -> None:
    used = {name for path in PAGES for name in re.findall(r"pairsieve\.(\w+)", path.read_text())}
    assert used == set(sources)
