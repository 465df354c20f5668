import pytest

from pairsieve.pipeline.rights.path_pattern import matches, normal


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("/", "/a", True),
        ("/a", "/abc", True),
        ("/a", "/b/a", False),
        ("/a/", "/a", False),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/*.jpg", "/x/y.jpg?z", True),
        ("/*.jpg$", "/x/y.jpg?z", False),
        ("/*.jpg$", "/x.jpg/y.jpg", True),
        ("/a*a$", "/a", False),  # one letter is not both
        ("/a*c*d", "/abcxxd/e", True),
        ("/a*c*d", "/abdc", False),
        ("*", "/a", True),
        ("/Case", "/case", False),
        ("/caf%C3%A9", "/café", True),
        ("/%61bc", "/abc", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/a%2Fb", "/a/b", False),  # a reserved character is not the same as its escape
        ("/foo-%24", "/foo-%24", True),
    ],
)
def test_a_pattern_matches_from_the_beginning(pattern: str, path: str, matched: bool) -> None:
    assert matches(normal(pattern), normal(path)) is matched


def test_many_wildcards_cost_no_exponential_time() -> None:
    assert not matches("/" + "*a" * 1_000 + "$", "/" + "a" * 999 + "b")
