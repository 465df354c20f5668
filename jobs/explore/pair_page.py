"""The page Pair: the whole life of a pair, as `why` tells it."""

import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.tiles import figure, plain, tile, unblurred
from pairsieve.pipeline.selections.life import Life
from pairsieve.pipeline.stats.page import shown as readable
from pairsieve.schemas.errors import PairsieveError


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Pair")
    what = st.text_input("A uid, a URL, or SHARD.tar/KEY")
    if not what.strip():
        return
    try:
        lives = loaded.lives(loaded.state(name), what.strip())
    except PairsieveError as error:
        st.error(plain(error))
        return
    for life in lives:
        _life(name, life)


def _life(name: str, life: Life) -> None:
    """Show what is known of a pair."""
    row = int(life.pair["row"])
    picture, told = st.columns([1, 2])
    with picture:
        for pair in loaded.shown(loaded.state(name), (row,), (), unblurred((row,))):
            tile(pair, (), f"pair{row}")
    with told:
        if life.verdicts:
            st.subheader("Rules")
            rows = [
                {
                    "rule": verdict.rule,
                    "": "passes" if verdict.passed else "drops it",
                    "reads": ", ".join(
                        f"{key} {figure(value)}" for key, value in verdict.values.items()
                    ),
                    "asks": readable(verdict.condition),
                }
                for verdict in life.verdicts
            ]
            st.dataframe(pd.DataFrame(rows), hide_index=True)
        st.subheader("Fetches")
        st.dataframe(pd.DataFrame(_cells(life.attempts)), hide_index=True)
    if life.copies:
        st.subheader("The same picture")
        st.dataframe(pd.DataFrame(_cells(life.copies)), hide_index=True)
    st.subheader("What is known of it")
    known = [{"column": key, "value": figure(value)} for key, value in life.pair.items()]
    st.dataframe(pd.DataFrame(known), hide_index=True)


def _cells(rows: list[dict[str, object]]) -> list[dict[str, str]]:
    return [{key: figure(value) for key, value in row.items()} for row in rows]
