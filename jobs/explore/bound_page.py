"""The page At the bound: pictures just inside and just outside a threshold, side by side."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.thresholds_page import slider_value
from pairsieve.jobs.explore.tiles import plain, tiles, unblurred
from pairsieve.pipeline.explore.bounds import Bound
from pairsieve.pipeline.explore.pictures import at_bound
from pairsieve.pipeline.explore.sample import NONE, Sample

SHOWN = 12  # on either side of a page
ANY = "any"


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("At the bound")
    now = loaded.state(name)
    sample = loaded.drawn(now)
    if not sample.bounds:
        st.info("No rule of this selection has a bound that can be moved.")
        return
    rule, value, alone = st.columns([3, 2, 3], vertical_alignment="bottom")
    bound, at = threshold(name, sample, "bound", (rule, value))
    key = bound.key
    others = alone.checkbox("Only pairs that all other rules keep", True)
    inside, outside = at_bound(sample, key, at, _chosen(sample), others)
    page = _turned(max(len(inside), len(outside)), f"{key}{at}")
    parts = (inside, outside)
    titles = (f"Inside: kept by {bound.threshold.rule.name}", "Outside: dropped")
    for column, rows, title in zip(st.columns(2, gap="medium"), parts, titles, strict=True):
        with column:
            st.subheader(plain(title))
            some = tuple(rows[page * SHOWN : (page + 1) * SHOWN])
            st.caption(f"{len(rows):,} pairs, the nearest first")
            pairs = loaded.shown(now, some, (), unblurred(some))
            tiles(pairs, (), title, _scores(sample, key, some))


def threshold(
    name: str, sample: Sample, page: str, columns: Sequence[DeltaGenerator]
) -> tuple[Bound, float]:
    """Return the threshold that is chosen and a value of it, at first that of its slider.

    They are asked for in two columns of a page.
    """
    rule, value = columns
    keys = [bound.key for bound in sample.bounds]
    key = rule.selectbox("Threshold", keys, _first_movable(sample.bounds), key=f"{page}-key")
    bound, _ = sample.bound(key)
    at = value.number_input(
        "Bound", value=slider_value(name, bound), format="%.8g", key=f"{page}-at:{name}:{key}"
    )
    return bound, float(at)


def _first_movable(bounds: Sequence[Bound]) -> int:
    """Return the place of the first threshold that is no gate's: there are pairs outside it."""
    return next((n for n, one in enumerate(bounds) if not one.threshold.rule.gate), 0)


def _scores(sample: Sample, key: str, rows: tuple[int, ...]) -> dict[int, str]:
    """Return what the bound is on of some pairs, in words, by row."""
    _, values = sample.bound(key)
    places = sample.rows.searchsorted(rows)
    name = key.partition(".")[0]
    return {row: f"{name} {values[place]:.6g}" for row, place in zip(rows, places, strict=True)}


def _chosen(sample: Sample) -> dict[str, str]:
    """Return what pairs must have, as it is chosen."""
    chosen = {}
    with st.expander("Only some pairs"):
        for column, (values, _) in sample.groups.items():
            if values == (NONE,):
                continue
            value = st.selectbox(plain(column), [ANY, *values], key=f"only:{column}")
            if value != ANY:
                chosen[column] = value
    return chosen


def _turned(pairs: int, what: str) -> int:
    """Return the page to show; the arrow keys turn it."""
    last = max(0, (pairs - 1) // SHOWN)
    key = "bound-page"
    if st.session_state.get("bound-of") != what:
        st.session_state["bound-of"] = what
        st.session_state[key] = 0
    line = st.container(horizontal=True, vertical_alignment="center")
    page = min(st.session_state.get(key, 0), last)
    if line.button("Back", disabled=not page, shortcut="Left"):
        page -= 1
    if line.button("Next", disabled=page >= last, shortcut="Right"):
        page += 1
    st.session_state[key] = page
    line.text(f"page {page + 1} of {last + 1}")
    return int(page)
