"""Recheck: ask the sites of stored images again what they declare, and list what is opted out of.

Terms change after a fetch. Of every URL with a stored image, and of where it led, the robots.txt
and the tdmrep.json are asked for, once for each origin and process, at the paces of the recipe;
with `headers` each URL also by a HEAD request. No image is fetched, and the dataset is not touched:
what is found is a list, as `forget` takes it. A run that is stopped begins anew.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.fetch.client import Shared, ask
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.rights.robots import RulesCache
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.columns import FINAL_URL, OUTCOME, ROW, UID, URL
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_opt_outs import Form

FORBIDDING = (Outcome.ROBOTS, Outcome.OPT_OUT, Outcome.TDM_RESERVED)
ANSWERED = frozenset((Outcome.OK, Outcome.EMPTY, *FORBIDDING))
ASKED_UNITS = 10  # units whose sites one task asks


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: pairs and URLs asked about, and pairs by what forbids them.

    Attributes:
        pairs: With a stored image.
        urls: Different ones, those that redirects had led to among them.
        forbidden: Pairs, by outcome.
        unanswered: URLs of which nothing is known, by outcome; their pairs are not listed.
    """

    pairs: int = 0
    urls: int = 0
    forbidden: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.pairs + other.pairs,
            self.urls + other.urls,
            self.forbidden + other.forbidden,
            self.unanswered + other.unanswered,
        )


@dataclass(frozen=True, slots=True)
class Questions:
    """What a task asks with: the recipe, whether headers are asked for, and among how many."""

    recipe: Recipe
    headers: bool
    among: int
    rules_cache: RulesCache


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    sink: BinaryIO,
    headers: bool = False,
    units: int = ASKED_UNITS,
) -> Found:
    """Ask, write the list to `sink`, and return what was found.

    Raises:
        BadOption: there is no dataset, the recipe does not say who asks, or it obeys nothing that
            could be asked for.
        Stopped: a task's process kept dying.
    """
    if recipe.fetch is None:
        raise BadOption("fetch: missing; say at least `user_agent`, who asks")
    if not headers and recipe.fetch.robots == "ignore" and Form.TDMREP not in recipe.opt_outs.forms:
        raise BadOption(
            "recheck: the recipe obeys neither robots.txt nor tdmrep.json, so nothing would be "
            "asked; say `fetch.robots: obey`, or --headers"
        )
    plan_file.read(store)
    pool = Pool(store, engine, ledger_files(store, before=SELECT), units)
    found = Found()
    if pool.files.gathered:
        among = min(engine.workers, len(pool.blocks))
        questions = Questions(recipe, headers, among, RulesCache())
        for _, (part, lines) in pool.each(partial(_block, questions), pool.blocks):
            found += part
            sink.write("".join(f"{line}\n" for line in lines).encode())
    return found


def _block(questions: Questions, block: Block) -> tuple[Found, list[str]]:
    """Return what was found of a block, and its lines of the list."""
    columns = [ROW.name, UID.name, URL.name, FINAL_URL.name, OUTCOME.name]
    with block.ledger(columns) as connection:
        pairs = connection.execute(
            f"SELECT {UID.name}, {URL.name}, {FINAL_URL.name} FROM ledger "
            f"WHERE {OUTCOME.name} = '{Outcome.OK}' AND {URL.name} IS NOT NULL ORDER BY {ROW.name}"
        ).fetchall()
    urls = dict.fromkeys(url for _, *both in pairs for url in both if url)
    against: dict[str, tuple[str, str]] = {}
    unanswered: Counter[str] = Counter()
    for url, outcome, detail in _answers(questions, urls):
        if outcome in FORBIDDING:
            against[url] = outcome, detail
        elif outcome not in ANSWERED:
            unanswered[outcome] += 1
    forbidden: Counter[str] = Counter()
    lines = []
    for uid, *both in pairs:
        reason = next((against[url] for url in both if url in against), None)
        if reason:
            forbidden[reason[0]] += 1
            lines += [f"# {reason[0]}: {_one_line(reason[1])}", f"uid {uid}"]
    return Found(len(pairs), len(urls), forbidden, unanswered), lines


def _answers(questions: Questions, urls: Iterable[str]) -> Iterator[tuple[str, Outcome, str]]:
    """Yield URL, outcome and detail of every URL."""
    recipe = questions.recipe
    assert recipe.fetch
    shared = Shared(questions.among, questions.rules_cache)
    for fetched in ask(urls, recipe.fetch, shared, recipe.opt_outs, questions.headers):
        yield fetched.url, fetched.outcome, fetched.detail or ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
