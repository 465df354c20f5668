import io
import re
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from pairsieve.jobs.live.progress import Display
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, round_folder, search_folder, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.engine.rounds import heard_by, run_numbered


def told(
    *commits: tuple[str, Marker | None, bool],
    terminal: bool = False,
    again: int = 0,
    width: int = 120,
) -> str:
    """What is printed of these commits of a run over 100 pairs, some of them tried again."""
    sink = io.StringIO()
    with Display(100, Console(file=sink, force_terminal=terminal, width=width), again) as hear:
        for verb, marker, new in commits:
            hear(verb, marker, new)
    return sink.getvalue()


def test_plain_lines_end_with_the_sum_of_every_verb() -> None:
    lines = told(
        ("gather", Marker(60, {}, {"ok": 50, "dns": 10}), True),
        ("gather", Marker(40, {}, {"ok": 40}), True),
        ("embed", Marker(100, {}, {"embedded": 90, "texts": 80}), True),
    ).splitlines()
    assert [line.split()[:5] for line in lines] == [
        ["gather", "100", "of", "100", "pairs"],
        ["embed", "100", "of", "100", "pairs"],
    ]
    assert lines[0].endswith("ok 90, dns 10")
    assert "texts" not in lines[1]


def test_what_an_earlier_run_did_does_not_count_towards_the_rate() -> None:
    (line,) = told(("gather", Marker(50, {}, {"ok": 50}), False)).splitlines()
    assert "50 of 100 pairs" in line
    assert " 0/s" in line
    assert "left" not in line


def test_a_terminal_gets_bars_towards_what_each_verb_must_answer_for() -> None:
    shown = told(
        ("group", Marker(90, {}, {}), True),
        ("select", Marker(100, {}, {"kept": 30}), True),
        ("shard", Marker(30, {}, {}), True),
        terminal=True,
    )
    for done in ("90 of 90 pairs", "100 of 100 pairs", "30 of 30 pairs"):
        assert done in shown


def test_pairs_tried_again_count_once_more() -> None:
    shown = told(
        ("gather", Marker(100, {}, {"ok": 80, "dns": 20}), False),
        ("retry", Marker(20, {}, {"ok": 15, "dns": 5}), False),
        ("embed", Marker(100, {}, {}), False),
        ("embed", Marker(20, {}, {}), True),
        again=20,
        terminal=True,
    )
    for done in ("100 of 100 pairs", "20 of 20 pairs", "120 of 120 pairs"):
        assert done in shown


def test_a_narrow_terminal_cuts_what_is_least_wanted() -> None:
    outcomes = {"ok": 50, "dns": 20, "http_4xx": 20, "timeout_total": 10}
    shown = told(("gather", Marker(100, {}, outcomes), True), terminal=True, width=60)
    assert "gather " in shown
    assert "100 of 100 pairs" in shown
    assert "timeout_total" not in shown
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", n)) for n in shown.splitlines()) <= 60


def test_a_stage_is_shown_as_soon_as_it_begins() -> None:
    assert "group" in told(("group", None, True), terminal=True)
    assert told(("group", None, True)) == ""


def in_rounds(*told: tuple[str, int, int], terminal: bool = False) -> str:
    """What is printed of these rounds of `group`, the last of which is under way."""
    sink = io.StringIO()
    display = Display(100, Console(file=sink, force_terminal=terminal, width=120))
    with suppress(KeyboardInterrupt), display:
        display("gather", Marker(100, {}, {}), new=False)
        display("group", None)
        for one in told:
            display.tell_round(*one)
        raise KeyboardInterrupt
    return sink.getvalue()


def test_a_round_of_tasks_is_shown_while_it_goes() -> None:
    rounds = (("keys", 0, 4), ("keys", 4, 4), ("equal", 1, 50), ("equal", 2, 50))
    line = in_rounds(*rounds).splitlines()[-1]
    assert re.match(r"group +2 of 50 tasks \(round 2, equal\)  about \d+.* left, .*tasks/s", line)
    assert "4 of 4 tasks (round 1, keys)" in in_rounds(*rounds[:2], terminal=True)


def test_tasks_of_an_earlier_run_do_not_count_towards_the_rate() -> None:
    line = in_rounds(("keys", 40, 50)).splitlines()[-1]
    assert "40 of 50 tasks (round 1, keys)  0.0 tasks/s" in line


def test_a_commit_ends_the_rounds() -> None:
    sink = io.StringIO()
    with Display(100, Console(file=sink)) as display:
        display("group", None)
        display.tell_round("keys", 1, 4)
        display("group", Marker(90, {}, {}))
    assert "90 of 90 pairs" in sink.getvalue()
    assert display.stages["group"].facts()["round"] is None


def test_of_a_stage_that_is_over_no_round_is_said() -> None:
    sink = io.StringIO()
    with Display(100, Console(file=sink)) as display:
        display("shard", Marker(100, {}, {}))
        display.tell_round("members", 4, 4)
        display("report", None)
        display.tell_round("clusters", 2, 2)
    (line,) = sink.getvalue().splitlines()
    assert "100 of" in line


def test_rounds_are_heard_of_with_their_tasks_and_what_is_done(tmp_path: Path) -> None:
    store = Store.at(str(tmp_path))
    folder = round_folder(search_folder(fingerprint("copies")), "keys")
    heard: list[tuple[str, int, int]] = []

    def task(number: int) -> Marker:
        return commit(store, marker_path(folder, task_name(number)), Marker(1, {}))

    task(1)
    with heard_by(lambda *told: heard.append(told)):
        run_numbered(store, Serial(), folder, task, 3)
    run_numbered(store, Serial(), folder, task, 3)  # nobody hears of it
    assert heard == [("keys", 1, 3), ("keys", 2, 3), ("keys", 3, 3)]
