"""The page Thresholds: a slider per rule over its histogram, and what the rules do together."""

from collections.abc import Mapping
from math import ceil, floor, log10
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from pairsieve.jobs.explore import loaded
from pairsieve.jobs.explore.settings import Settings
from pairsieve.jobs.explore.tiles import metrics, plain
from pairsieve.pipeline.explore.bounds import Bound
from pairsieve.pipeline.explore.effect import (
    Bar,
    Effect,
    Estimate,
    command,
    effect,
    failing,
    histogram,
    settings,
)
from pairsieve.pipeline.explore.sample import Sample
from pairsieve.pipeline.selections.record import read
from pairsieve.pipeline.stats.histograms import format_figure
from pairsieve.schemas.errors import PairsieveError

STEPS = 200  # of a slider
HEIGHT_PX = 150
KEPT, DROPPED, BOUND = "#4c78a8", "#a9b0b8", "#d62728"


def show(name: str) -> None:
    """Show the page of a selection."""
    st.header("Thresholds")
    sample = loaded.drawn(loaded.state(name))
    st.caption(_counted(sample))
    st.caption("Blue: what all other rules keep. Grey: what another rule drops. Red: the bound.")
    top = st.container()
    values = {bound.key: slider_value(name, bound) for bound in sample.bounds}
    now = effect(sample, values)
    no = failing(sample, values)
    for start in range(0, len(sample.bounds), 2):
        for column, bound in zip(st.columns(2), sample.bounds[start : start + 2], strict=False):
            with column:
                _bound(name, bound, histogram(sample, bound.key, no), now)
    with top:
        _together(name, sample, values, now)
    _fixed(sample, now)
    _save(name, sample, values)


def _counted(sample: Sample) -> str:
    """Return of which pairs the figures are."""
    quotas = (
        ""
        if not _quotas(sample)
        else (" Rules on how many survive come after all others: these figures are before them.")
    )
    if sample.exact:
        return f"Exact counts of all {sample.images:,} pairs with an image.{quotas}"
    return (
        f"Estimated from a seeded sample of {sample.taken:,} of {sample.images:,} pairs with an "
        f"image; in brackets the interval of 95 %.{quotas}"
    )


@st.cache_data(show_spinner=False)
def _has_quotas(now: loaded.State) -> bool:
    return any(rule.quota for rule in read(loaded.store(), str(now[0]))[1].rules)


def _quotas(sample: Sample) -> bool:
    return _has_quotas(loaded.state(sample.name))


def _key(name: str, bound: Bound) -> str:
    return f"bound:{name}:{bound.key}"


def slider_value(name: str, bound: Bound) -> float:
    """Return where the slider of a threshold stands; at the selection's own value at first."""
    return float(st.session_state.get(_key(name, bound), bound.value))


def _bound(name: str, bound: Bound, bars: list[Bar], now: Effect) -> None:
    """Show a threshold: histogram, slider, and what its rule does."""
    rule = bound.threshold.rule
    done = next(one for one in now.rules if one.rule == rule.name)
    with st.container(border=True):
        st.markdown(f"**{plain(bound.key)}**")
        if not bars:
            st.text("No pair has what it bounds.")
            return
        at = slider_value(name, bound)
        low, high, step = grid(bars[0].low, bars[-1].high, bound.threshold.is_whole)
        st.altair_chart(chart(bars, at, (low, high)), width="stretch")
        side = "at least" if bound.at_least else "at most"
        st.slider(
            f"{side}, in the selection {plain(format_figure(bound.value))}",
            low,
            high,
            bound.value,
            step,
            format=f"%.{_digits(step)}f",
            key=_key(name, bound),
        )
        st.text(
            f"{rule.name} drops {done.dropped}, alone {done.only_this}\n"
            f"survivors of all rules {now.survivors}"
        )
        if rule.gate:
            st.caption("A gate: what it stopped was never measured further, so no value here "
                       "brings it back.")  # fmt: skip


def grid(low: float, high: float, whole: bool) -> tuple[float, float, float]:
    """Return the ends and the step of a slider: 1, 2 or 5 times a power of ten, and multiples."""
    width = (high - low) / STEPS
    power = 10.0 ** floor(log10(width)) if width > 0 else 0.01
    step = next((power * by for by in (1, 2, 5) if power * by >= width), power * 10)
    step = max(step, 1.0) if whole else step
    digits = _digits(step)
    ends = (floor(low / step) * step, ceil(high / step) * step)
    return round(ends[0], digits), round(ends[1], digits), round(step, digits)


def _digits(step: float) -> int:
    """Return how many decimals a multiple of a step has."""
    return max(0, -floor(log10(step)))


def chart(bars: list[Bar], at: float, ends: tuple[float, float]) -> alt.LayerChart | alt.FacetChart:
    """Return the histogram over a threshold: what other rules keep, what they drop, its bound.

    It is as wide as the slider with these ends, so that a value stands at one place in both; so the
    only count that is written is that of the highest bar, above it.
    """
    most = max(bar.passing + bar.others for bar in bars)
    rows = [
        {"low": bar.low, "high": bar.high, "pairs": count, "which": which}
        for bar in bars
        for which, count in (("other rules keep", bar.passing), ("another rule drops", bar.others))
    ]
    height = alt.Axis(values=[most], labels=False, ticks=False, domain=False)
    span = alt.Scale(domain=list(ends), nice=False)
    scale = alt.Scale(domain=["other rules keep", "another rule drops"], range=[KEPT, DROPPED])
    drawn = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(binSpacing=0)
        .encode(
            x=alt.X("low:Q", bin="binned", title=None, scale=span),
            x2="high:Q",
            y=alt.Y("pairs:Q", title=None, stack=True, axis=height, scale=alt.Scale(nice=False)),
            color=alt.Color("which:N", scale=scale, legend=None),
            tooltip=[alt.Tooltip("low:Q", format=".4g"), alt.Tooltip("high:Q", format=".4g"),
                     "which:N", "pairs:Q"],
        )
    )  # fmt: skip
    line = (
        alt.Chart(pd.DataFrame({"at": [at]}))
        .mark_rule(color=BOUND, strokeWidth=2)
        .encode(x=alt.X("at:Q", scale=span))
    )
    title = alt.TitleParams(f"{most:,} pairs", anchor="start", fontSize=11, fontWeight="normal")
    return alt.layer(drawn, line).properties(height=HEIGHT_PX, title=title)


def _together(name: str, sample: Sample, values: Mapping[str, float], now: Effect) -> None:
    """Show what the rules do together, beside what they do in the selection."""
    before = effect(sample, {})
    metrics(
        {
            "Survivors": f"{now.survivors.pairs:,}",
            "Gained": f"{now.gained.pairs:,}",
            "Lost": f"{now.lost.pairs:,}",
            "With an image": f"{sample.images:,}",
        },
        _change(now, before),
    )
    if not now.survivors.exact:
        st.text(f"survivors {now.survivors}, gained {now.gained}, lost {now.lost}")
    if settings(sample, values):
        st.button("Back to the selection's own values", on_click=_reset, args=(name, sample))


def _change(now: Effect, before: Effect) -> str | None:
    change = now.survivors.pairs - before.survivors.pairs
    return f"{change:+,}" if change else None


def _reset(name: str, sample: Sample) -> None:
    for bound in sample.bounds:
        st.session_state[_key(name, bound)] = bound.value


def _fixed(sample: Sample, now: Effect) -> None:
    """Show what the rules do that have no slider."""
    moved = {bound.threshold.rule.name for bound in sample.bounds}
    rows = [
        {"rule": one.rule, "drops": _cell(one.dropped), "alone": _cell(one.only_this)}
        for one in now.rules
        if one.rule not in moved and one.dropped.pairs
    ]
    if rows:
        st.subheader("Rules without a slider")
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def _cell(estimate: Estimate) -> str:
    return str(estimate)


def _save(name: str, sample: Sample, values: Mapping[str, float]) -> None:
    """Show the command that makes these values a selection, and make it if the recipe is known."""
    st.subheader("Save as a selection")
    recipe = Settings.get().recipe
    wanted = st.text_input("Name of the selection", f"{name}-2")
    st.code(
        command(sample, values, (recipe or "RECIPE", Settings.get().dataset, wanted)),
        language="bash",
        wrap_lines=True,
    )
    if recipe is None:
        st.caption("Start with `--recipe RECIPE` to save from here; the command does the same.")
    elif st.button("Save as selection", type="primary"):
        try:
            kept = save(recipe, wanted, settings(sample, values))
        except PairsieveError as error:
            st.error(plain(error))
        else:
            loaded.names.clear()
            st.success(f"{plain(wanted)}: {kept:,} pairs are kept.")


def save(recipe: str, name: str, given: list[str]) -> int:
    """Make a selection as `select --set` does; return how many pairs it keeps."""
    from pairsieve.jobs.cli_options import check_name
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import select

    check_name(name)
    job = Job(Path(recipe), Settings.get().dataset, EngineChoice("serial"), ["select"], given)
    with job.engine() as engine:
        return select.run(job.recipe, job.store, engine, name).counts["kept"]
