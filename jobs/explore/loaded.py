"""What the pages show, read once while nothing new is committed."""

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from pairsieve.jobs.explore.settings import Settings
from pairsieve.pipeline.dataset.paths import (
    EMBED_FOLDER,
    GATHER_FOLDER,
    GROUP_MARKER,
    SCRATCH,
    select_marker,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore import fairness, sample, summaries, vector_map
from pairsieve.pipeline.explore.database import opened
from pairsieve.pipeline.explore.fairness import Unlike
from pairsieve.pipeline.explore.funnels import side_by_side
from pairsieve.pipeline.explore.pictures import Shown, look_up
from pairsieve.pipeline.explore.sample import Sample
from pairsieve.pipeline.search import Query, SearchResult
from pairsieve.pipeline.search import run as run_search
from pairsieve.pipeline.selections import diff, life, listing
from pairsieve.pipeline.selections.diff import Difference
from pairsieve.pipeline.selections.life import Life
from pairsieve.pipeline.selections.record import read
from pairsieve.pipeline.vectors import scores
from pairsieve.pipeline.vectors.projection import Projected, project
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load

CLUSTERS, MEMBERS, HOSTS = 20, 12, 20  # shown at most
FRESH_S = 10  # so long what is committed is not looked for again
State = tuple[Any, ...]  # of a dataset: what is read anew when it changes


def store() -> Store:
    """Return the dataset that is explored."""
    return Store.at(Settings.get().dataset)


@st.cache_data(ttl=FRESH_S, show_spinner=False)
def names() -> list[str]:
    """Return the selections."""
    return listing.names(store())


@st.cache_data(ttl=FRESH_S, show_spinner=False)
def state(name: str | None) -> State:
    """Return what changes when something is committed that the pages show."""
    marker = store().marker(select_marker(name)) if name else None
    grouped = store().marker(GROUP_MARKER)
    return (
        name,
        len(store().marker_names(GATHER_FOLDER)),
        marker.extra["fingerprint"] if marker else None,
        sorted(grouped.files) if grouped else None,
    )


@st.cache_resource(max_entries=2, show_spinner="Reading what the rules read ...")
def drawn(now: State) -> Sample:
    """Return the pairs, or a sample, with what the selection's rules read of them."""
    return sample.draw(store(), Serial(), str(now[0]))


@st.cache_data(max_entries=200, show_spinner=False)
def shown(
    now: State, rows: tuple[int, ...], columns: tuple[str, ...], unblurred: tuple[int, ...]
) -> list[Shown]:
    """Return some pairs with their pictures."""
    return look_up(store(), str(now[0]), rows, columns, unblurred, unknown())


def unknown() -> tuple[str, ...]:
    """Return the scores of which the recipe's model can know nothing."""
    recipe = _recipe(Settings.get().recipe)
    return scores.unknown(recipe.embed) if recipe and recipe.embed else ()


@st.cache_data(max_entries=4, show_spinner=False)
def _recipe(path: str | None) -> Recipe | None:
    return load(Path(path)) if path else None


def vectors_folder() -> str | None:
    """Return the model whose vectors are looked at; None, and a word about it, without any."""
    folders = store().marker_names(EMBED_FOLDER)
    if not folders:
        st.info("There are no vectors: `pairsieve embed` makes them.")
        return None
    return str(st.selectbox("Model", folders)) if len(folders) > 1 else folders[0]


@st.cache_data(max_entries=20, show_spinner="Searching ...")
def search(
    folder: str, now: State, text: str | None, image: bytes | None, count: int
) -> SearchResult:
    """Return the pairs whose images are nearest to a text or a picture."""
    recipe = _recipe(Settings.get().recipe)
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch:
        file = Path(scratch) / "query" if image is not None else None
        if file is not None and image is not None:
            file.write_bytes(image)
        return run_search(store(), Query(text, file, count), recipe, folder, str(now[0]))


@st.cache_data(max_entries=2, show_spinner="Drawing the map ...")
def projected(folder: str, now: State) -> Projected:
    """Return pairs in two dimensions."""
    return project(store(), folder)


@st.cache_data(max_entries=4, show_spinner=False)
def map_columns(now: State) -> list[str]:
    """Return the columns that can be a colour of the map."""
    with opened(store(), now[0]) as database:
        return vector_map.columns(database)


@st.cache_data(max_entries=20, show_spinner=False)
def map_values(folder: str, now: State, column: str) -> list[Any]:
    """Return what a column has of the pairs on the map."""
    with opened(store(), now[0]) as database:
        return vector_map.values(database, projected(folder, now).rows, column)


@st.cache_data(max_entries=8, show_spinner="Comparing ...")
def difference(one: State, other: State) -> Difference:
    """Return how two selections differ."""
    return diff.run(store(), Serial(), (str(one[0]), str(other[0])), 6)


@st.cache_data(max_entries=8, show_spinner=False)
def funnels(one: State, other: State) -> list[dict[str, Any]]:
    """Return the funnels of two selections side by side."""
    first, second = (read(store(), str(of[0]))[0].extra["funnel"] for of in (one, other))
    return side_by_side(first, second)


@st.cache_data(max_entries=16, show_spinner="Counting ...")
def unlike(now: State, column: str) -> tuple[list[str], list[Unlike]]:
    """Return the columns to group by, and how unlike the rules treat the values of one."""
    with opened(store(), now[0]) as database:
        return fairness.columns(database), fairness.unlike(store(), database, column)


@st.cache_data(max_entries=4, show_spinner="Counting ...")
def clusters(now: State) -> list[summaries.Row]:
    """Return the largest clusters."""
    with opened(store(), now[0]) as database:
        return summaries.clusters(database, CLUSTERS)


@st.cache_data(max_entries=4, show_spinner="Counting ...")
def shared(now: State) -> tuple[list[summaries.Row], list[summaries.Row]]:
    """Return likely placeholders, and the hosts that share most pictures."""
    with opened(store(), now[0]) as database:
        return summaries.placeholders(database, CLUSTERS), summaries.hosts_sharing(database, HOSTS)


@st.cache_data(max_entries=50, show_spinner=False)
def members(now: State, cluster: int) -> list[summaries.Row]:
    """Return some pairs of a cluster."""
    with opened(store(), now[0]) as database:
        return summaries.members(database, cluster, MEMBERS)


@st.cache_data(max_entries=4, show_spinner="Counting ...")
def failures(now: State) -> tuple[list[summaries.Row], ...]:
    """Return outcomes, the hosts that fail most, and outcomes over time."""
    with opened(store(), now[0]) as database:
        return (
            summaries.outcomes(database),
            summaries.failing_hosts(database, HOSTS),
            summaries.over_time(database),
        )


@st.cache_data(max_entries=50, show_spinner="Looking for it ...")
def lives(now: State, what: str) -> list[Life]:
    """Return the lives of the pairs that go by a uid or URL."""
    return life.run(store(), Serial(), str(now[0]), what)
