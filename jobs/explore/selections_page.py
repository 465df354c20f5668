"""The page Selections: what one keeps and another does not, by which rules, with pictures."""

import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import metrics, plain, tiles, unblurred
from pairsieve.pipeline.selections.diff import Change


def show(name: str) -> None:
    """Show the page; `name` is the first of the two."""
    st.header("Selections")
    others = [other for other in loaded.names() if other != name]
    if not others:
        st.info("There is one selection. Save another on the page Thresholds to compare them.")
        return
    other = st.selectbox("Compare with", others)
    found = loaded.difference(loaded.state(name), loaded.state(other))
    gained, lost = (sum(change.pairs for change in side) for side in (found.gained, found.lost))
    metrics(
        {
            name: f"{found.kept_a:,}",
            other: f"{found.kept_b:,}",
            "in both": f"{found.both:,}",
            "gained": f"{gained:,}",
            "lost": f"{lost:,}",
        }
    )
    rows = [
        {
            "rule": row["rule"],
            f"{name}: dropped": row["dropped_a"],
            f"{name}: left": row["left_a"],
            f"{other}: dropped": row["dropped_b"],
            f"{other}: left": row["left_b"],
        }
        for row in loaded.funnels(loaded.state(name), loaded.state(other))
    ]
    table = pd.DataFrame(rows).convert_dtypes()
    st.dataframe(table, hide_index=True, height="content")
    _side(name, f"Gained: dropped from {name} by", found.gained)
    _side(other, f"Lost: dropped from {other} by", found.lost)


def _side(dropping: str, title: str, changes: list[Change]) -> None:
    """Show what was gained or lost, rule by rule."""
    st.subheader(plain(title))
    if not changes:
        st.text("nothing")
        return
    rows = [
        {"rule": change.rule, "pairs": change.pairs, "only this": change.only} for change in changes
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    for change in changes:
        with st.expander(f"{plain(change.rule)}: {change.pairs:,}"):
            numbers = tuple(int(one["row"]) for one in change.examples)
            read = tuple(sorted({name for one in change.examples for name in one["scores"]}))
            pairs = loaded.shown(loaded.state(dropping), numbers, read, unblurred(numbers))
            tiles(pairs, read, f"{title}{change.rule}")
