"""How many words a text has, also where no spaces part them.

A word is a run of letters, marks, digits and underscores, with the apostrophes and full stops
between letters and the points and commas between digits: the rules of Unicode for default word
boundaries without their rarer cases. Chinese, Japanese and Thai are cut by BudouX's models
(Japanese by that for words, not for phrases). In Lao, Khmer and Burmese five code points count as a
word, in Tibetan what its sign for it ends.

Source: Unicode Standard Annex #29; BudouX (github.com/google/budoux); five is ours.
"""

import json
import re
from functools import cache
from math import ceil
from typing import Any

SEGMENTED = 1000  # code points of a run that BudouX reads; beyond, words go by their share so far
POINTS_PER_WORD = 5  # code points, in scripts for which there is no model
ASCII_WORD = re.compile(r"\w+(?:[.']\w+|(?<=\d),(?=\d)\w+)*", re.ASCII)
_TIBETAN = "\u0f00-\u0fff"
_SPACELESS = {  # scripts that put no spaces between words, as sets of characters
    "zh-hans": "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "ja_word": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "th": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "ratio": "\u0e80-\u0ecf\u0edc-\u0edf\u1000-\u103f\u1050-\u109f\u1780-\u17d3\uaa60-\uaa7f",
}
_HAN, _KANA, _THAI, _RATIO = _SPACELESS.values()
RUNS = re.compile(f"([{_HAN}{_KANA}]+)|([{_THAI}]+)|([{_RATIO}]+)|([{_TIBETAN}]+)")
_HAS_KANA = re.compile(f"[{_KANA}]")
_SYLLABLE = re.compile("[^\u0f08\u0f0b-\u0f14\u0f3a-\u0f3d]+")  # between Tibetan marks


def count_words(text: str) -> int:
    """Return the number of words of a text."""
    if text.isascii():
        return len(ASCII_WORD.findall(text))
    count = 0
    for match in RUNS.finditer(text):
        east_asian, thai, by_ratio, tibetan = match.groups()
        if east_asian:
            count += _segments("ja_word" if _HAS_KANA.search(east_asian) else "zh-hans", east_asian)
        elif thai:
            count += _segments("th", thai)
        elif by_ratio:
            count += ceil(len(by_ratio) / POINTS_PER_WORD)
        else:
            count += len(_SYLLABLE.findall(tibetan))
    return count + len(_word().findall(RUNS.sub(" ", text)))


def _segments(model: str, run: str) -> int:
    """Return in how many words BudouX's model cuts a run."""
    beginning = run[:SEGMENTED]
    count = len(_parser(model).parse(beginning))
    return count if len(run) <= SEGMENTED else round(count * len(run) / SEGMENTED)


@cache
def _word() -> Any:
    """Return the pattern of a word; of regex, whose letters include combining marks."""
    import regex

    # A zero-width joiner joins; without backtracking, so that no text takes its length squared.
    part = r"[\w\p{M}\u200c\u200d]++"
    return regex.compile(rf"{part}(?:[.'\u2019]{part}|(?<=\d)[,\u066b\u066c](?=\d){part})*+")


@cache
def _parser(model: str) -> Any:
    """Return BudouX's parser by the name of a model's file."""
    from importlib.resources import files

    from budoux import Parser

    return Parser(json.loads(files("budoux").joinpath(f"models/{model}.json").read_bytes()))
