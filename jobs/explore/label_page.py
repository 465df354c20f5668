"""The page Label: pairs near a threshold are marked good or bad; precision and recall follow."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.bound_page import threshold
from pairsieve.jobs.explore.tiles import metrics, plain, tile, unblurred
from pairsieve.pipeline.dataset.paths import attempt
from pairsieve.pipeline.explore.labelling import Judged, Stratum, judge, next_rows, strata
from pairsieve.pipeline.learning import label_files
from pairsieve.pipeline.learning.label_files import Label

AHEAD = 4  # pairs that are read before they are asked about


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Label")
    now = loaded.state(name)
    sample = loaded.drawn(now)
    if not sample.bounds:
        st.info("No rule of this selection has a bound that can be moved.")
        return
    st.caption(
        "Is this a pair to train on? Which side of the threshold it lies on is not told. Asked are "
        "the nearest on either side, then those where precision and recall are least certain. Keys "
        "work once you have clicked beside the menu."
    )
    columns = st.columns([3, 2], vertical_alignment="bottom")
    bound, at = threshold(name, sample, "label", columns)
    found = strata(sample, bound.key, at)
    given = label_files.read_all(loaded.store())
    labels = {row: bool(label.good) for row, label in given.items()}
    skipped = st.session_state.setdefault("label-skipped", set())
    rows = next_rows(found, labels, 1 + AHEAD, frozenset(skipped))
    asked, told = st.columns(2, gap="medium")
    with asked:
        if rows:
            _ask(name, now, bound.key, tuple(rows))
        else:
            st.success("All of these pairs are marked or skipped.")
    with told:
        if judged := judge(found, labels):
            _told(judged)
        _strata(found, labels)
        _all(given)


def _told(judged: Judged) -> None:
    """Show what the labels say of the threshold."""
    metrics({"Marked": f"{judged.good + judged.bad:,}", "Good": f"{judged.good:,}"})
    if not judged.good + judged.bad:
        return
    st.text(f"precision {judged.precision}\nrecall {judged.recall}")
    st.caption(
        "Precision: of the pairs that this threshold keeps, the share of good ones. Recall: of the "
        "good pairs that all other rules keep, the share that it keeps. In brackets 95 %."
    )


def _ask(name: str, now: loaded.State, key: str, rows: tuple[int, ...]) -> None:
    """Show a pair and ask about it; the next ones are read already."""
    pairs = loaded.shown(now, rows, (), unblurred(rows))
    pair = next((one for one in pairs if one.pair["row"] == rows[0]), None)
    if pair is None:
        st.session_state["label-skipped"].add(rows[0])
        st.rerun()
        return
    line = st.container(horizontal=True)
    label = (int(pair.pair["row"]), str(pair.pair["uid"]), key, name)
    line.button("Good", shortcut="G", type="primary", on_click=_mark, args=(*label, True))
    line.button("Bad", shortcut="B", type="primary", on_click=_mark, args=(*label, False))
    line.button("Skip", shortcut="S", on_click=_skip, args=(rows[0],))
    given = st.session_state.get("label-given", [])
    line.button("Undo", shortcut="U", on_click=_undo, disabled=not given)
    with st.container(border=True, width=340):
        tile(pair, (), "label", reasons=False)


def _session() -> str:
    """Return the token of this visit, under which its labels are kept."""
    return str(st.session_state.setdefault("label-session", attempt()))


def _put(label: Label) -> None:
    label_files.add(loaded.store(), _session(), label)


def _mark(row: int, uid: str, key: str, name: str, good: bool) -> None:
    """Keep a label."""
    label = Label(row, uid, good, _time(), key, name)
    _put(label)
    st.session_state.setdefault("label-given", []).append(label)


def _undo() -> None:
    """Take back the last label of this visit."""
    last = st.session_state["label-given"].pop()
    _put(Label(last.row, last.uid, None, _time(), last.threshold, last.selection))


def _skip(row: int) -> None:
    st.session_state["label-skipped"].add(row)


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _strata(found: list[Stratum], labels: dict[int, bool]) -> None:
    """Show what is known of each stratum."""
    rows = []
    for one in found:
        good, bad = one.marked(labels)
        rows.append(
            {
                "": "kept" if one.inside else "dropped",
                "from": f"{one.low:.4g}",
                "to": f"{one.high:.4g}",
                "pairs": len(one.rows),
                "marked": good + bad,
                "good": good,
            }
        )
    with st.expander("Where labels were given"):
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def _all(given: dict[int, Label]) -> None:
    """Offer all labels of the dataset, and say what they are good for."""
    if not given:
        return
    rows = [
        {"uid": label.uid, "label": "good" if label.good else "bad"} for label in given.values()
    ]
    text = pd.DataFrame(rows).to_csv(index=False)
    st.download_button(f"Labels of all thresholds ({len(rows):,}) as CSV", text, "labels.csv")
    st.text("They are kept in the dataset. A score of your own is learnt from them by")
    st.code(f"pairsieve learn {loaded.store().url}", language="bash", wrap_lines=True)
    st.caption(plain("It needs vectors, and at least 10 good and 10 bad pairs."))
