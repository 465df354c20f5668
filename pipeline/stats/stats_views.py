"""The views of `stats.duckdb`, and what its tables, views and columns say of themselves."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from pairsieve.pipeline.fetch.request_rates import HOST_RATES
from pairsieve.pipeline.ledger.sql import identifier, quoted
from pairsieve.pipeline.stats.copied_rows import FETCHED
from pairsieve.pipeline.stats.partials import CLUSTERS, KEPT, PAIRS, SHARING, SPENT
from pairsieve.schemas.columns import COLUMNS, EMBEDDED, Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FUNNEL = (
    Column("position", pa.int32(), "", "Index in the order; 0 is fetch and decode.", False),
    Column("rule", pa.string(), "", "Name of the rule, or `outcome`.", False),
    Column("entered", pa.int64(), "pairs", "Pairs that passed every rule before.", False),
    Column("dropped", pa.int64(), "pairs", "Of these, how many this rule said no to.", False),
    Column("only_this", pa.int64(), "pairs", "Pairs that this rule alone said no to.", False),
    Column("unmeasured", pa.int64(), "pairs", "Dropped because a score is missing.", False),
    Column("left", pa.int64(), "pairs", "Pairs left after this rule.", False),
)
MEASURES = (
    Column("name", pa.string(), "", "Column of the ledger.", False),
    Column("unit", pa.string(), "", "Unit or range of its values.", False),
    Column("doc", pa.string(), "", "What the value is.", False),
    Column("measured", pa.int64(), "pairs", "Pairs that have the value.", False),
    Column("unmeasured", pa.int64(), "pairs", "Pairs that do not.", False),
    Column("lowest", pa.float64(), "", "Lowest value."),
    Column("highest", pa.float64(), "", "Highest value."),
)
HISTOGRAMS = (
    Column("name", pa.string(), "", "Column of the ledger.", False),
    Column("bin", pa.int32(), "", "Index of the bin, from 0."),
    Column("low", pa.float64(), "", "Lower edge, part of the bin.", False),
    Column("high", pa.float64(), "", "Upper edge, part of the next bin.", False),
    Column("pairs", pa.int64(), "pairs", "Pairs whose value is in the bin.", False),
    Column("kept", pa.int64(), "pairs", "Of these, how many are kept.", False),
)
SWEEPS = (
    Column("threshold", pa.string(), "", "RULE.OPTION.", False),
    Column("value", pa.float64(), "", "A value of it.", False),
    Column("survivors", pa.int64(), "pairs", "Pairs that would survive.", False),
    Column("now", pa.bool_(), "", "Whether this is its value in the selection.", False),
)
OVERLAPS = (
    Column("rule", pa.string(), "", "Name of a rule.", False),
    Column("other", pa.string(), "", "Name of another.", False),
    Column("pairs", pa.int64(), "pairs", "Pairs to which both say no.", False),
)
EXTENT = (
    Column("pairs", pa.int64(), "pairs", "Pairs that were judged.", False),
    Column("rows", pa.int64(), "rows", "Rows of `ledger` in this file.", False),
    Column("whole", pa.bool_(), "", "True when these are all, false for a sample.", False),
    Column("condition", pa.string(), "", "Which rows these are, as SQL.", False),
)
MADE_OF = (
    Column("identity", pa.string(), "", "Stands for the files of the ledger that was counted."),
)
HOSTS = (
    *SPENT,
    Column(
        "robots", pa.int64(), "pairs", "Pairs that a robots.txt kept from being fetched.", False
    ),
    Column("kept_per_mb", pa.float64(), "pairs/MB", "Survivors per megabyte received; null: none."),
)
# Columns that mean the same in every table or view.
SHARED = (
    PAIRS,
    KEPT,
    Column("ok", pa.int64(), "pairs", "Of these, how many have an image."),
    Column("start", pa.timestamp("us"), "", "Start of the step of time, UTC; null: not fetched."),
    Column("seconds", pa.int32(), "s", "Length of the step of time."),
    Column("clusters", pa.int64(), "clusters", "How many clusters have so many pairs."),
    Column("near", pa.int64(), "pairs", "Of these, how many are near an image by pHash."),
    Column("max_overlap", pa.float32(), "[-1, 1]", "Highest cosine to an image of the set."),
    *HOST_RATES,
    *CLUSTERS,
)
OWN = {
    "funnel": FUNNEL,
    "measures": MEASURES,
    "histograms": HISTOGRAMS,
    "sweeps": SWEEPS,
    "rule_overlaps": OVERLAPS,
    "hosts": HOSTS,
    "host_answers": SPENT,
    "hosts_sharing": SHARING,
    "ledger_extent": EXTENT,
    "made_of": MADE_OF,
}

FROM_INPUT = "A column of the input, as it is there."

# View -> what a row is, its query.
VIEWS = {
    "ledger": (
        "One row per input pair, in input order; all or a sample, as `ledger_extent` says.",
        "SELECT * FROM data.ledger",
    ),
    "ledger_extent": (
        "One row: how many of the pairs are in `ledger` and `fetches` here, and which.",
        "SELECT * FROM data.ledger_extent",
    ),
    "funnel": ("One row per rule, in the order applied.", "SELECT * FROM data.funnel"),
    "outcomes": (
        "One row per outcome of fetch and decode that occurred.",
        "SELECT outcome, sum(o.pairs)::BIGINT AS pairs FROM data.outcomes_over_time AS o "
        "GROUP BY outcome ORDER BY 2 DESC, outcome",
    ),
    "fetches": (
        "One row per pair and retry layer that fetched it: what `ledger` has, and earlier ones.",
        "SELECT {0} FROM data.ledger UNION ALL SELECT {0} FROM data.superseded".format(
            ", ".join(FETCHED)
        ),
    ),
    "measures": ("One row per number that is measured.", "SELECT * FROM data.measures"),
    "histograms": (
        "One row per bin of each measured number, equally wide or, where values span decades, so "
        "in their logarithms; the end bins also hold what lies beyond.",
        "SELECT * FROM data.histograms",
    ),
    "sweeps": (
        "One row per threshold and value of it: what would survive, before rules on how many do, "
        "the other rules as they are.",
        "SELECT * FROM data.sweeps ORDER BY threshold, value",
    ),
    "rule_overlaps": (
        "One row per two rules that say no to the same pairs, either of them first in one.",
        "SELECT * FROM data.rule_overlaps ORDER BY pairs DESC, rule, other",
    ),
    "hosts": (
        "One row per host name in the URLs.",
        "SELECT host, sum(a.pairs)::BIGINT AS pairs, "
        "coalesce(sum(a.pairs) FILTER (outcome = 'ok'), 0)::BIGINT AS ok, "
        "sum(a.kept)::BIGINT AS kept, sum(a.bytes)::BIGINT AS bytes, "
        "sum(a.milliseconds)::BIGINT AS milliseconds, sum(a.attempts)::BIGINT AS attempts, "
        "coalesce(sum(a.pairs) FILTER (outcome = 'robots'), 0)::BIGINT AS robots, "
        "sum(a.kept) * 1e6 / nullif(sum(a.bytes), 0) AS kept_per_mb "
        "FROM data.host_answers AS a GROUP BY host ORDER BY 2 DESC, host",
    ),
    "host_outcomes": (
        "One row per host name in the URLs and outcome that occurred there.",
        "SELECT host, outcome, sum(a.pairs)::BIGINT AS pairs FROM data.host_answers AS a "
        "GROUP BY host, outcome ORDER BY 3 DESC, host, outcome",
    ),
    "host_answers": (
        "One row per host name in the URLs, outcome and HTTP status that occurred there.",
        "SELECT * FROM data.host_answers ORDER BY pairs DESC, host, outcome, http_status",
    ),
    "statuses": (
        "One row per HTTP status that was the last answer.",
        "SELECT http_status, sum(o.pairs)::BIGINT AS pairs FROM data.outcomes_over_time AS o "
        "WHERE http_status IS NOT NULL GROUP BY http_status ORDER BY 2 DESC, http_status",
    ),
    "outcomes_over_time": (
        "One row per step of time (UTC), outcome and HTTP status of what was fetched in it.",
        "SELECT * FROM data.outcomes_over_time WHERE start IS NOT NULL "
        "ORDER BY start, pairs DESC, outcome, http_status",
    ),
    "politeness": (
        "One row per host that was requested, the one that saw the highest rate first.",
        "SELECT * FROM data.politeness ORDER BY peak_per_s DESC, per_s DESC, host",
    ),
    "languages": (
        "One row per language of the texts.",
        "SELECT * FROM data.languages ORDER BY pairs DESC, language",
    ),
    "duplicates": (
        "One row per cluster of copies of one image, the largest first; of more clusters than "
        "`report.ledger_rows` the largest.",
        "SELECT * FROM data.duplicates ORDER BY pairs DESC, cluster",
    ),
    "cluster_sizes": (
        "One row per number of pairs that a cluster of copies has; all clusters are counted.",
        "SELECT * FROM data.cluster_sizes ORDER BY pairs",
    ),
    "hosts_sharing": (
        "One row per two hosts that serve copies of the same images, those of most images first; "
        "of an image that many hosts have, the 20 with most pairs of it.",
        "SELECT * FROM data.hosts_sharing ORDER BY clusters DESC, host, other",
    ),
    "evaluation_sets": (
        "One row per evaluation set that has an image which is nearest to one of a pair.",
        "SELECT * FROM data.evaluation_sets ORDER BY eval_set",
    ),
}


def comment(connection: "DuckDBPyConnection", other_scores: tuple[Column, ...]) -> None:
    """Say of every column of every table and view what it holds."""
    found = connection.execute(
        "SELECT schema_name, table_name, list(column_name) FROM duckdb_columns() "
        "WHERE database_name = 'stats' AND NOT internal GROUP BY ALL"
    ).fetchall()
    for schema, table, names in found:
        for name, doc in column_comments(table, names, other_scores):
            connection.execute(
                f"COMMENT ON COLUMN {schema}.{table}.{identifier(name)} IS {quoted(doc)}"
            )


def column_comments(
    table: str, names: Iterable[str], other_scores: tuple[Column, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield (column, what it holds) of the columns of a table or view.

    A column of the ledger that nothing here declares is one of the input or of a further model.
    """
    ledger = {column.name: column for column in (*COLUMNS, *other_scores)}
    shared = ledger | {column.name: column for column in SHARED}
    of_pairs = table in ("ledger", "fetches", "superseded")
    known = ledger if of_pairs else shared | {c.name: c for c in OWN.get(table, ())}
    for name in names:
        column = known.get(name) or _of_model(name)
        if column:
            yield name, f"{column.doc} [{column.unit}]" if column.unit else column.doc
        elif of_pairs:
            yield name, FROM_INPUT


def _of_model(name: str) -> Column | None:
    """Return the column of scores that a further model's is called after, if it is one."""
    after = (column for column in EMBEDDED if name.startswith(f"{column.name}_"))
    return max(after, key=lambda column: len(column.name), default=None)
