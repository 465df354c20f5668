"""The page Duplicates: the largest clusters of copies, their keepers and members."""

import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import tiles, unblurred

READ = ("duplicate_distance", "width", "height")


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Duplicates")
    now = loaded.state(name)
    found = loaded.clusters(now)
    if not found:
        st.info("No copies were found, or `group` has not run yet.")
        return
    st.caption("The largest clusters of copies of one picture; the keeper stands first.")
    st.dataframe(pd.DataFrame(found), hide_index=True)
    titles = {row["cluster"]: f"cluster {row['cluster']}: {row['pairs']:,} pairs" for row in found}
    cluster = int(st.selectbox("Show", list(titles), format_func=titles.__getitem__))
    rows = tuple(row["row"] for row in loaded.members(now, cluster))
    pairs = loaded.shown(now, rows, READ, unblurred(rows))
    tiles(pairs, READ, f"cluster{cluster}")
