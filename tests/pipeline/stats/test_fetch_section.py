from pairsieve.pipeline.stats.fetch_section import OWN_COLOURS, TIMELINE_PX, BarPart, timeline

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC


def test_bars_stand_where_and_as_high_as_they_should() -> None:
    drawn = timeline([(START, {"ok": 3, "dns": 1}), (START + 30, {"dns": 2})], 10)
    assert drawn is not None
    width, height = TIMELINE_PX
    first, last = drawn.bars
    assert (first.x, last.x) == (0, 3 * width / 4)  # two empty steps between them
    assert first.parts == [
        BarPart("ok", height * 0.25, height * 0.75),
        BarPart("failed1", 0.0, height * 0.25),
    ]
    assert last.parts == [BarPart("failed1", height * 0.5, height * 0.5)]
    assert first.title == "2023-11-14 22:13:20: 3 ok, 1 dns"
    assert drawn.legend == [("ok", "ok"), ("failed1", "dns")]
    assert (drawn.left, drawn.right) == ("2023-11-14 22:13:20", "2023-11-14 22:14:00")
    assert (drawn.most, drawn.step) == (4, "10 seconds")


def test_the_commonest_failures_have_a_colour_of_their_own() -> None:
    counts = {f"f{n}": 10 - n for n in range(8)}
    drawn = timeline([(START, counts)], 3600)
    assert drawn is not None
    assert [name for _, name in drawn.legend] == [
        *(f"f{n}" for n in range(OWN_COLOURS)),
        "other",
    ]
    assert sum(part.height for part in drawn.bars[0].parts) == TIMELINE_PX[1]
    assert drawn.step == "hour"


def test_nothing_fetched_is_nothing_drawn() -> None:
    assert timeline([], 1) is None
