"""The pages of `explore`: streamlit runs this file anew whenever something is touched."""

import hmac
from collections.abc import Callable

import streamlit as st

from pairsieve.jobs.explore import (
    bound_page,
    copies_page,
    failures_page,
    fairness_page,
    label_page,
    loaded,
    pair_page,
    selections_page,
    thresholds_page,
    vector_pages,
)
from pairsieve.jobs.explore.settings import Settings
from pairsieve.jobs.explore.tiles import plain
from pairsieve.schemas.errors import PairsieveError

PAGES: dict[str, Callable[[str], None]] = {
    "Thresholds": thresholds_page.show,
    "At the bound": bound_page.show,
    "Label": label_page.show,
    "Search": vector_pages.show_search,
    "Map": vector_pages.show_map,
    "Selections": selections_page.show,
    "Fairness of rules": fairness_page.show,
    "Duplicates": copies_page.show,
    "Failures": failures_page.show,
    "Pair": pair_page.show,
}
WITHOUT_SELECTION = "Failures"


def main() -> None:
    """Show the page that is chosen, to those who may see it."""
    st.set_page_config("pairsieve explore", layout="wide")
    settings = Settings.get()
    if not may_see(settings.token, st.query_params.get("token"), st.session_state.get("token")):
        given = st.text_input("Token", type="password")
        if given and may_see(settings.token, given, None):
            st.session_state["token"] = given
            st.rerun()
        return
    names = loaded.names()
    page = st.sidebar.radio("Page", list(PAGES), key="page")
    first = names.index(settings.name or "default") if (settings.name or "default") in names else 0
    name = st.sidebar.selectbox("Selection", names, first, key="selection") if names else None
    st.sidebar.checkbox("Show blurred pictures", key="unblurred-all")
    st.sidebar.text(settings.dataset)
    if st.sidebar.button("Look for what is new"):
        loaded.names.clear()
        loaded.state.clear()
        st.rerun()
    _show(page, name)


def _show(page: str, name: str | None) -> None:
    """Show a page; what a user can act upon is told there."""
    if name is None and page != WITHOUT_SELECTION:
        st.info("No selection was made yet: `pairsieve select RECIPE --dataset DIR` makes one.")
        return
    try:
        PAGES[page](name)  # type: ignore[arg-type]  # one of them takes None
    except PairsieveError as error:
        st.error(plain(error))


def may_see(token: str | None, *given: str | None) -> bool:
    """Return whether one who gives these may see the pages; on this machine alone there is none."""
    return token is None or any(one and hmac.compare_digest(one, token) for one in given)


if __name__ == "__main__":
    main()
