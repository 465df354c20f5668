"""The questions of docs/questions.md are asked of a dataset; two of them have no answer there."""

import re
from pathlib import Path

from tests.pipeline.explore.dataset import Finished

from pairsieve.pipeline.explore.database import opened

PAGE = (Path(__file__).parents[2] / "docs/questions.md").read_text()
QUESTIONS = re.findall(r"\n([^\n]+\?)\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
WITHOUT_ANSWER = {
    "Which pairs were fetched more than once, and did it help?",
    "Which captions stand beside many pictures?",
}


def test_there_are_twenty_questions() -> None:
    assert len(dict(QUESTIONS)) == 20 == PAGE.count("```sql")


def test_every_question_has_an_answer(finished: Finished) -> None:
    with opened(finished.store) as database:
        rows = {
            question: sum(batch.num_rows for batch in database.ask(query)[1])
            for question, query in QUESTIONS
        }
    assert {question for question, count in rows.items() if not count} == WITHOUT_ANSWER
