from pairsieve.pipeline.explore.funnels import side_by_side


def _funnel(*steps: tuple[str, int, int]) -> list[dict[str, object]]:
    return [{"rule": rule, "dropped": dropped, "left": left} for rule, dropped, left in steps]


def test_rules_stand_in_order_with_those_of_the_second_between_them() -> None:
    first = _funnel(("outcome", 2, 8), ("size", 3, 5), ("sharpness", 1, 4))
    second = _funnel(("outcome", 2, 8), ("nsfw", 1, 7), ("sharpness", 2, 5), ("tag", 5, 0))
    assert [tuple(row.values()) for row in side_by_side(first, second)] == [
        ("outcome", 2, 8, 2, 8),
        ("nsfw", None, None, 1, 7),
        ("size", 3, 5, None, None),
        ("sharpness", 1, 4, 2, 5),
        ("tag", None, None, 5, 0),
    ]


def test_what_is_alike_stands_once() -> None:
    one = _funnel(("outcome", 0, 3))
    assert len(side_by_side(one, one)) == 1
