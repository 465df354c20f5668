"""The page Fairness of rules: which treat groups most unlike."""

import altair as alt
import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import plain
from pairsieve.pipeline.explore.fairness import LEAST, USUAL, Unlike
from pairsieve.pipeline.stats.page import shown as readable

CHARTED, GROUPS_CHARTED = 5, 12


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Fairness of rules")
    now = loaded.state(name)
    columns = loaded.unlike(now, USUAL[0])[0]
    column = st.selectbox("Groups by", columns)
    found = loaded.unlike(now, column)[1]
    st.caption(
        f"Of groups with at least {LEAST} pairs, the share that each rule lets pass, whatever the "
        "other rules say. On top is the rule whose groups differ most beyond chance."
    )
    if not found:
        st.info("No two groups are large enough to be compared.")
        return
    rows = [
        {
            "rule": one.rule,
            "passes least": readable(one.lowest.group),
            "of it": f"{one.lowest.share:.1%}",
            "passes most": readable(one.highest.group),
            "of that": f"{one.highest.share:.1%}",
            "beyond chance": f"{max(0.0, one.certain):.1%}",
        }
        for one in found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    for one in found[:CHARTED]:
        st.markdown(f"**{plain(one.rule)}**")
        st.altair_chart(chart(one), width="stretch")


def chart(one: Unlike) -> alt.LayerChart | alt.FacetChart:
    """Return the shares of the groups with their intervals: those that pass least and most."""
    half = GROUPS_CHARTED // 2
    rates = one.rates if len(one.rates) <= GROUPS_CHARTED else one.rates[:half] + one.rates[-half:]
    rows = pd.DataFrame(
        [
            {"group": readable(rate.group, 40), "share": rate.share, "low": rate.low,
             "high": rate.high, "pairs": rate.pairs}
            for rate in rates
        ]
    )  # fmt: skip
    y = alt.Y("group:N", sort=None, title=None)
    scale = alt.Scale(domain=[0, 1])
    points = (
        alt.Chart(rows)
        .mark_point(filled=True, size=60)
        .encode(
            y=y,
            x=alt.X("share:Q", scale=scale, axis=alt.Axis(format="%"), title="passes"),
            tooltip=["group:N", alt.Tooltip("share:Q", format=".1%"), "pairs:Q"],
        )
    )
    lines = alt.Chart(rows).mark_rule().encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q")
    return alt.layer(lines, points)
