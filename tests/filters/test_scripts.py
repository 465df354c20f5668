import pytest

from pairsieve.filters.scripts import scripts

# (text, ISO 15924 code of most letters, share of the letters): counted by hand.
CASES = [
    ("dog", "Latn", 1.0),
    ("12 !", "Zyyy", 0.0),
    ("", "Zyyy", 0.0),
    ("\ud800", "Zyyy", 0.0),
    ("Ünder", "Latn", 1.0),
    ("собака dog", "Cyrl", 6 / 9),
    ("犬が走る", "Jpan", 1.0),
    ("小狗在雪地里奔跑的照片集の", "Hani", 1.0),  # 1 kana of 13 signs is borrowed
    ("สุนัข", "Thai", 1.0),
    ("개 dog", "Latn", 0.75),
    ("𠀋", "Hani", 1.0),
]


@pytest.mark.parametrize(("text", "script", "share"), CASES)
def test_most_letters_give_the_script(text: str, script: str, share: float) -> None:
    names, shares = scripts([text])
    assert names.tolist() == [script]
    assert shares.tolist() == pytest.approx([share])


def test_batches_and_order_do_not_matter() -> None:
    texts = [text for text, _, _ in CASES]
    together = scripts(texts)[0].tolist()
    assert [scripts([text])[0][0] for text in texts] == together
