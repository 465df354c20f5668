"""One declared opt-out: in which form, the words themselves, and when they were read."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_opt_outs import Form

MAX_CHARS = 200  # of the evidence
_OF_MINING = frozenset((Form.TDM_RESERVATION, Form.TDMREP))


@dataclass(frozen=True, slots=True)
class OptOut:
    """A declaration against the use of an image.

    Attributes:
        form: How it is declared.
        evidence: What was read, and where if that is not the answer itself.
        read_at: When, ms since 1970 UTC; None for the time of the answer.
    """

    form: Form
    evidence: str
    read_at: int | None = None

    @property
    def outcome(self) -> Outcome:
        """Return what becomes of a pair where it is obeyed."""
        return Outcome.TDM_RESERVED if self.form in _OF_MINING else Outcome.OPT_OUT


def first_obeyed(found: Iterable[OptOut], obeyed: Collection[Form]) -> OptOut | None:
    """Return the first of the opt-outs whose form is obeyed."""
    return next((opt_out for opt_out in found if opt_out.form in obeyed), None)
