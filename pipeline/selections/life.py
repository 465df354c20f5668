"""Life of a pair: what a dataset knows of it, from its row in the input to its place in a shard.

The pair is looked for in every block by the two columns it may be called by; all else is read of
the blocks where it is found.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pairsieve.pipeline.dataset.checksums import StoredAt, located
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger import sql
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.selections.record import read, read_by, values_of
from pairsieve.schemas.columns import (
    CENTRE_HASH,
    CLUSTER,
    COLOUR,
    DHASH,
    DUPLICATE_OF,
    FAILING,
    IMAGE_CHECKSUM,
    IMAGE_FILE,
    ORIENTATION_HASHES,
    PERCEPTUAL_HASH,
    RETRY_LAYER,
    ROW,
    SHARD,
    SHARD_OFFSET,
    TRIMMED_COLOUR,
    TRIMMED_HASHES,
    UID,
    URL,
    URL_HASH,
)
from pairsieve.schemas.errors import BadOption

MOST = 10  # pairs that one URL is told of, in the order of rows
COPIES_SHOWN = 20  # of a cluster, in the order of rows
UID_CHARS = 32
SHARDS = (".tar", ".parquet")
OURS = (
    URL_HASH, IMAGE_CHECKSUM, PERCEPTUAL_HASH, DHASH, COLOUR, ORIENTATION_HASHES, CENTRE_HASH,
    TRIMMED_HASHES, TRIMMED_COLOUR,
)  # fmt: skip
ATTEMPT = ("retry_layer", "outcome", "detail", "http_status", "final_url", "attempts", "fetched_at")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a pair.

    Attributes:
        rule: Its name.
        condition: What it asks, as SQL.
        values: What it reads of the pair, by column.
        passed: Whether it lets the pair through.
    """

    rule: str
    condition: str
    values: dict[str, Any]
    passed: bool


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a pair.

    Attributes:
        pair: Its row of the ledger, by column; what is null or only ours is left out.
        attempts: What each time it was fetched gave, the first first.
        verdicts: What the rules of the selection say, in their order; empty without an image.
        copies: The other pairs of its cluster: row, uid, url, and whether it is kept.
        stored: Where its image is; None without one.
    """

    pair: dict[str, Any]
    attempts: list[dict[str, Any]]
    verdicts: list[Verdict] = field(default_factory=list)
    copies: list[dict[str, Any]] = field(default_factory=list)
    stored: StoredAt | None = field(default=None, compare=False)

    def fate(self, name: str) -> str:
        """Return in words what became of the pair in the selection `name`."""
        pair = self.pair
        if not self.verdicts:
            detail = f" ({pair['detail']})" if pair.get("detail") else ""
            return f"no image: {pair['outcome']}{detail}."
        if not pair["keep"]:
            return f"dropped from {name} by {', '.join(pair['failing'])}."
        if SHARD.name in pair:
            unit = "row" if pair[SHARD.name].endswith(SHARDS[1]) else "byte"
            return f"kept: in {name}/{pair[SHARD.name]}, at {unit} {pair[SHARD_OFFSET.name]:,}."
        return f"kept by {name}; no shards were made of it yet."

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, but for where the image is."""
        return {key: value for key, value in asdict(self).items() if key != "stored"}


def run(store: Store, engine: Engine, name: str, what: str, units: int = BLOCK_UNITS) -> list[Life]:
    """Return the lives of the pairs that go by a uid, a URL or a sample of a shard.

    Args:
        store: The dataset.
        engine: Where blocks are read.
        name: The selection of whose rules and shards to tell.
        what: A uid; `SHARD/KEY`, of which the key is the uid; or a URL as the input has it.
        units: Units of a block.

    Raises:
        BadOption: there is no such pair, or no such selection.
        Stopped: a task's process kept dying, or a file is not what was committed.
    """
    _, record = read(store, name)
    column, value = called(what)
    pool = Pool(store, engine, ledger_files(store, record.scores, name), units)
    found: dict[int, list[int]] = {}
    for block, rows in pool.each(partial(_rows, column, value), pool.blocks):
        if rows:
            found[block.number] = rows
    if not found:
        raise BadOption(f"why: no pair has the {column} {value!r}")
    blocks = [block for block in pool.blocks if block.number in found]
    told = pool.each(partial(_lives, found, record.rules), blocks)
    lives = [life for _, some in told for life in some]
    lives.sort(key=lambda life: int(life.pair[ROW.name]))
    for life in lives[:MOST]:
        life.copies.extend(_copies(pool, life.pair))
    return lives[:MOST]


def called(what: str) -> tuple[str, str]:
    """Return the column by which a pair is called, `uid` or `url`, and its value in it."""
    shard, _, key = what.rpartition("/")
    uid = key.partition(".")[0] if shard.endswith(SHARDS) else what
    is_uid = len(uid) == UID_CHARS and not set(uid) - set("0123456789abcdef")
    return (UID.name, uid) if is_uid else (URL.name, what)


def _rows(column: str, value: str, block: Block) -> list[int]:
    query = f"SELECT row FROM ledger WHERE {column} = {sql.quoted(value)} ORDER BY row LIMIT {MOST}"
    with block.ledger([ROW.name, column]) as connection:
        return [row for (row,) in connection.execute(query).fetchall()]


def _lives(found: dict[int, list[int]], rules: Sequence[Rule], block: Block) -> list[Life]:
    """Return the lives of some pairs of a block, without their copies."""
    listed = ", ".join(map(str, found[block.number]))
    with block.ledger(None) as connection:
        pairs = sql.rows(connection, f"SELECT * FROM ledger WHERE row IN ({listed})")
        attempts = sql.rows(
            connection,
            f"SELECT row, {', '.join(ATTEMPT)} FROM (FROM gathered UNION ALL BY NAME FROM "
            f"superseded) WHERE row IN ({listed}) ORDER BY row, {RETRY_LAYER.name}",
        )
    hidden = {column.name for column in OURS}
    lives = []
    for pair in pairs:
        own = [
            {name: one[name] for name in ATTEMPT if one[name] is not None}
            for one in attempts
            if one[ROW.name] == pair[ROW.name]
        ]
        shown = {k: v for k, v in pair.items() if v is not None and k not in hidden}
        stored = located([pair])[0] if pair[IMAGE_FILE.name] else None
        lives.append(Life(shown, own, _verdicts(pair, rules), stored=stored))
    return lives


def _verdicts(pair: dict[str, Any], rules: Sequence[Rule]) -> list[Verdict]:
    """Return what each rule says of a pair that was judged by it."""
    if pair.get(FAILING.name) is None or pair["outcome"] not in ("ok", "gated"):
        return []
    return [
        Verdict(
            rule.name,
            rule.sql,
            values_of(pair, read_by(rule)),
            rule.name not in pair[FAILING.name],
        )
        for rule in rules
    ]


def _copies(pool: Pool, pair: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the other pairs of a pair's cluster."""
    cluster = pair.get(CLUSTER.name)
    if cluster is None:
        return []
    query = (
        f"SELECT row, uid, url, {DUPLICATE_OF.name} IS NULL AS kept FROM ledger "
        f"WHERE {CLUSTER.name} = {cluster} AND row <> {pair[ROW.name]} "
        f"ORDER BY row LIMIT {COPIES_SHOWN}"
    )
    told = pool.each(partial(_queried, query), pool.blocks)
    copies = sorted((one for _, some in told for one in some), key=lambda one: int(one["row"]))
    return copies[:COPIES_SHOWN]


def _queried(query: str, block: Block) -> list[dict[str, Any]]:
    names = [ROW.name, UID.name, URL.name, CLUSTER.name, DUPLICATE_OF.name]
    with block.ledger(names) as connection:
        return sql.rows(connection, query)
