"""How pairs stand on a page: picture, caption and facts; all of it as text, never as HTML."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from pairsieve.pipeline.explore.pictures import Shown, facts
from pairsieve.pipeline.stats.page import shown as readable

TILE_PX = 160  # two stand beside one another on a telephone, also beside a scroll bar
METRIC_PX = 150
FACTS = ("language", "tag", "host")
Scores = Mapping[int, str]
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^&=])")


def plain(text: Any) -> str:
    """Return a text for a place that takes Markdown, so that it stands there as it is."""
    return _MARKDOWN.sub(r"\\\1", readable(text).replace("\n", " "))


def figure(value: Any) -> str:
    """Return a value as it is shown beside a picture."""
    return f"{value:.4g}" if isinstance(value, float) else readable(value)


def tiles(
    pairs: Sequence[Shown], columns: Collection[str], place: str, scores: Scores | None = None
) -> None:
    """Show some pairs in rows; `place` tells their buttons from those of others.

    `scores` are what stands first beside a picture, by row.
    """
    with st.container(horizontal=True, gap="small"):
        for pair in pairs:
            with st.container(border=True, width=TILE_PX):
                tile(pair, columns, place, (scores or {}).get(pair.pair["row"]))


def tile(
    shown: Shown,
    columns: Collection[str],
    place: str,
    score: str | None = None,
    reasons: bool = True,
) -> None:
    """Show a pair, and `reasons` for dropping it, if there are any."""
    pair = shown.pair
    if shown.picture is None:
        st.text("no picture, or none that may be shown")
    else:
        st.image(shown.picture, width="stretch")
    if shown.blurred:
        asked = st.session_state.setdefault("unblurred", set())
        if st.button("Show it", key=f"{place}:show:{pair['row']}"):
            asked.add(pair["row"])
            st.rerun()
    st.text(readable(pair.get("text")))
    told = [score] if score else []
    told += [f"{name} {figure(value)}" for name, value in facts(shown, columns).items()]
    told += [f"{name} {readable(pair[name])}" for name in FACTS if name in pair]
    if shown.reasons and reasons:
        told.append(f"dropped by {', '.join(map(readable, shown.reasons))}")
    st.text("\n".join((*told, f"row {pair['row']}")))


def metrics(figures: Mapping[str, str], change: str | None = None) -> None:
    """Show figures beside one another, as many as there is room for; the first has a change."""
    with st.container(horizontal=True):
        for place, (label, figure_) in enumerate(figures.items()):
            st.metric(plain(label), figure_, delta=None if place else change, width=METRIC_PX)


def unblurred(rows: Collection[int]) -> tuple[int, ...]:
    """Return those of some rows whose pictures were asked for as they are."""
    if st.session_state.get("unblurred-all"):
        return tuple(sorted(rows))
    return tuple(sorted(set(rows) & st.session_state.get("unblurred", set())))
