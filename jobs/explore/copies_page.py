"""The page Duplicates: the largest clusters of copies and their members; who shows the same."""

import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import tiles, unblurred
from pairsieve.pipeline.explore.summaries import Row

READ = ("duplicate_distance", "width", "height")


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Duplicates")
    now = loaded.state(name)
    found = loaded.clusters(now)
    if not found:
        st.info("No copies were found, or `group` has not run yet.")
        return
    placeholders, sharing = loaded.shared(now)
    st.caption("The largest clusters of copies of one picture; farthest: bits of pHash.")
    _table(found)
    if placeholders:
        st.subheader("Likely placeholders")
        st.caption(
            "Shown by many hosts under captions that have nothing in common. Unrelated: the share "
            "of captions, two by two; repeated: that of hosts with several captions."
        )
        _table(placeholders)
    _members(now, {row["cluster"]: row for row in [*placeholders, *found]})
    if sharing:
        st.subheader("Hosts that serve the same pictures")
        _table(sharing)


def _table(rows: list[Row]) -> None:
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")


def _members(now: loaded.State, found: dict[int, Row]) -> None:
    """Show the pairs of the cluster that is chosen, its keeper first."""
    titles = {key: f"cluster {key}: {row['pairs']:,} pairs" for key, row in found.items()}
    cluster = int(
        st.selectbox("Show, the keeper first", list(titles), format_func=titles.__getitem__)
    )
    rows = tuple(row["row"] for row in loaded.members(now, cluster))
    pairs = loaded.shown(now, rows, READ, unblurred(rows))
    tiles(pairs, READ, f"cluster{cluster}")
