"""The page Failures: outcomes, what they mean, when, and at which hosts."""

from datetime import timedelta
from itertools import pairwise

import altair as alt
import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.pipeline.explore.summaries import Row

MOST = 8  # outcomes with a colour of their own


def show(name: str | None) -> None:
    """Show the page; a dataset without a selection has it too."""
    st.header("Failures")
    outcomes, hosts, times = loaded.failures(loaded.state(name))
    st.caption("Of all pairs whose unit is committed, what became of fetch and decode.")
    order = ("outcome", "pairs", "meaning", "may pass", "example")
    st.dataframe(
        _table(outcomes),
        hide_index=True,
        height="content",
        column_order=order,
        column_config={
            "outcome": st.column_config.TextColumn(width=150),
            "meaning": st.column_config.TextColumn(width=420),
        },
    )
    if times:
        st.subheader("Over time")
        commonest = [row["outcome"] for row in outcomes if row["outcome"] != "ok"][:MOST]
        rows = [
            row if row["outcome"] in commonest else row | {"outcome": "others"}
            for row in times
            if row["outcome"] != "ok"
        ]
        if rows:
            st.altair_chart(chart(pd.DataFrame(rows), times), width="stretch")
    if hosts:
        st.subheader("Hosts that fail most")
        st.dataframe(_table(hosts), hide_index=True)


def _table(rows: list[Row]) -> pd.DataFrame:
    """Return rows as a table, with spaces in the names of columns and nothing for nulls."""
    return pd.DataFrame(
        [
            {name.replace("_", " "): "" if value is None else value for name, value in row.items()}
            for row in rows
        ]
    )


def chart(rows: pd.DataFrame, times: list[Row]) -> alt.Chart:
    """Return what failed over time, by outcome; all `times` tell how long a step is."""
    starts = sorted({row["start"] for row in times})
    step = min((b - a for a, b in pairwise(starts)), default=timedelta(seconds=1))
    clock = "%H:%M:%S" if starts[-1] - starts[0] < timedelta(days=1) else "%d %b %H:%M"
    drawn: alt.Chart = (
        alt.Chart(rows.assign(end=rows["start"] + step))
        .mark_bar()
        .encode(
            x=alt.X(
                "start:T",
                title="UTC",
                scale=alt.Scale(type="utc"),
                axis=alt.Axis(format=clock, tickCount=6, labelOverlap="greedy"),
            ),
            x2="end:T",
            y=alt.Y("sum(pairs):Q", title="failed"),
            color=alt.Color("outcome:N", legend=alt.Legend(orient="bottom", columns=3, title=None)),
            tooltip=["start:T", "outcome:N", "sum(pairs):Q"],
        )
        .properties(height=330)
    )
    return drawn
