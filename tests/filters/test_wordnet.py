from pathlib import Path
from zipfile import ZipFile

import pytest

from pairsieve.filters import entry_lists, wordnet

LINES = b"""  1 This software and database is being provided to you, the LICENSEE, by  
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is perceived 03 n 01 not_this 0  
08524735 15 n 02 New_York 0 Greater_New_York 2 001 @ 08524736 n 0000 | the largest city  
02084071 05 n 0a dog 0 a 0 b 1 c 0 d 0 e 0 f 0 g 0 h 0 i 0 000 | ten words, in hexadecimal 0a  
00001741 03 v 01 breathe 0 001 * 00005041 v 0000 | draw air into  
"""
NOUNS = ["Greater New York", "New York", *"abcd", "dog", "e", "entity", *"fghi"]


def test_nouns_are_those_of_wordnets_file_and_of_nltks(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_bytes(LINES)
    with ZipFile(tmp_path / "wordnet.zip", "w") as packed:
        packed.writestr("wordnet/index.noun", b"entity n 1 ")
        packed.writestr("wordnet/data.noun", LINES)
    for name in ("data.noun", "wordnet.zip"):
        assert entry_lists.read(str(tmp_path / name)) == NOUNS


def test_what_is_not_wordnet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_bytes(b"dog\ncat\n")
    (tmp_path / "broken.zip").write_bytes(LINES)
    with ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("omw/data.verb", LINES)
    with pytest.raises(ValueError, match="not of the form of WordNet's data.noun"):
        wordnet.nouns(tmp_path / "data.noun")
    for name in ("broken.zip", "other.zip"):
        with pytest.raises(ValueError, match="no ZIP with WordNet's data.noun"):
            wordnet.nouns(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        entry_lists.read(str(tmp_path / "wordnet.zip"))
