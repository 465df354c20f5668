"""The pages Search and Map: images by their vectors, near a query and near one another."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import plain, tiles, unblurred
from pairsieve.pipeline.stats.page import shown as readable
from pairsieve.schemas.errors import PairsieveError

FOUND = 24  # pairs of a search
HEIGHT_PX = 560
SHOWN = 24  # pairs of what is marked


def show_search(name: str) -> None:
    """Show the page Search of a selection."""
    st.header("Search")
    folder = loaded.vectors_folder()
    if folder is None:
        return
    now = loaded.state(name)
    text = st.text_input("A text")
    left, right = st.columns(2)
    file = left.file_uploader("Or a picture", type=["jpg", "jpeg", "png", "webp"])
    row = right.number_input("Or like the picture of the pair in row", min_value=0, value=None)
    image = file.getvalue() if file else _picture_of(now, int(row)) if row is not None else None
    if not text.strip() and image is None:
        return
    try:
        found = loaded.search(folder, now, text.strip() if image is None else None, image, FOUND)
    except PairsieveError as error:
        st.error(plain(error))
        return
    st.caption(
        f"The nearest of {found.rows:,} images by their vectors of {plain(found.model)}"
        + ("." if found.exact else "; of very many, some may have been missed.")
    )
    rows = tuple(int(pair["row"]) for pair in found.pairs)
    cosines = {pair["row"]: f"cosine {pair['cosine']:.4f}" for pair in found.pairs}
    tiles(loaded.shown(now, rows, (), unblurred(rows)), (), "search", cosines)


def _picture_of(now: loaded.State, row: int) -> bytes | None:
    """Return the picture of a pair; None, and a word about it, where none may be shown."""
    pairs = loaded.shown(now, (row,), (), unblurred((row,)))
    if not pairs or pairs[0].picture is None or pairs[0].blurred:
        st.info(f"Row {row:,} has no picture that may be shown.")
        return None
    return pairs[0].picture


def show_map(name: str) -> None:
    """Show the page Map of a selection."""
    st.header("Map")
    folder = loaded.vectors_folder()
    if folder is None:
        return
    now = loaded.state(name)
    found = loaded.projected(folder, now)
    if not len(found.rows):
        st.info("No pair has vectors yet.")
        return
    drawn = f"{len(found.rows):,} of {found.of:,} pairs, drawn by a hash" if (
        len(found.rows) < found.of
    ) else f"All {found.of:,} pairs"  # fmt: skip
    st.caption(
        f"{drawn}, with vectors of {readable(folder)}. Images that are alike lie near one another; "
        "distances between groups and the axes mean nothing. Draw a frame to see pictures."
    )
    column = st.selectbox("Colour", loaded.map_columns(now), key="map-colour")
    points = pd.DataFrame(
        {
            "x": found.points[:, 0],
            "y": found.points[:, 1],
            "row": found.rows,
            "value": loaded.map_values(folder, now, column),
        }
    )
    event: Any = st.altair_chart(
        chart(points, column), width="stretch", on_select="rerun", key=f"map:{column}"
    )
    _pictures(now, points, event)


def chart(points: pd.DataFrame, column: str) -> alt.Chart:
    """Return the map; a frame that is drawn in it is called `frame`."""
    kind = "Q" if pd.api.types.is_numeric_dtype(points["value"]) else "N"
    scale = alt.Scale(scheme="viridis" if kind == "Q" else "tableau10")
    plain_axis = alt.Axis(labels=False, ticks=False, title=None, grid=False)
    drawn: alt.Chart = (
        alt.Chart(points)
        .mark_circle(size=22, opacity=0.75)
        .encode(
            x=alt.X("x:Q", axis=plain_axis, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=plain_axis, scale=alt.Scale(zero=False)),
            color=alt.Color(f"value:{kind}", title=column.replace("_", " "), scale=scale),
            tooltip=["row:Q", f"value:{kind}"],
        )
        .properties(height=HEIGHT_PX)
        .add_params(alt.selection_interval(name="frame"))
    )
    return drawn


def _pictures(now: loaded.State, points: pd.DataFrame, event: Any) -> None:
    """Show pairs within the frame."""
    frame = (event.get("selection") or {}).get("frame") if event else None
    if not frame:
        return
    (left, right), (low, high) = frame["x"], frame["y"]
    inside = points[points["x"].between(left, right) & points["y"].between(low, high)]
    rows = tuple(int(row) for row in inside["row"][:SHOWN])
    st.text(f"{len(inside):,} pairs in the frame" + (f", {SHOWN} shown" if len(inside) > SHOWN
                                                     else ""))  # fmt: skip
    tiles(loaded.shown(now, rows, (), unblurred(rows)), (), "map")
