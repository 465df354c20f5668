"""Section `opt_outs`: which declarations against the use of an image end the way of its pair."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section


class Form(StrEnum):
    """The closed list of forms in which a use is opted out of, in the order they are met."""

    PAGE = "page"
    CONTENT_USAGE = "content_usage"
    CONTENT_SIGNAL = "content_signal"
    TDMREP = "tdmrep"
    X_ROBOTS_TAG = "x_robots_tag"
    TDM_RESERVATION = "tdm_reservation"
    XMP = "xmp"
    C2PA = "c2pa"


ALL_FORMS = frozenset(Form)
OF_ROBOTS_TXT = frozenset((Form.CONTENT_USAGE, Form.CONTENT_SIGNAL))


def _known(value: object) -> object:
    """Refuse what is neither a policy nor a list of forms."""
    if not isinstance(value, list | tuple):
        if value not in ("all", "none"):
            raise ValueError(f"must be `all`, `none` or a list of forms, got {value!r}")
        return value
    for form in value:
        if form not in list(Form):
            raise ValueError(f"`{form}` is no form of opt-out; {nearest(str(form), list(Form))}")
    return tuple(value)


class OptOuts(Section):
    """Which declared opt-outs are obeyed; see [opt-outs.md](opt-outs.md).

    The others are columns, as far as they are seen without a further request.
    """

    obey: Annotated[Literal["all", "none"] | tuple[Form, ...], BeforeValidator(_known)] = Field(
        "all", description="The forms that end the way of a pair; `none` is for one's own servers."
    )
    page: str | None = Field(
        None,
        min_length=1,
        description="Input column of the page's robots metas; `page_robots` if there is one.",
    )
    signers: bool = Field(
        False, description="Whether C2PA signatures are checked; needs `pairsieve[c2pa]`."
    )

    @model_validator(mode="after")
    def _page_is_known(self) -> Self:
        """Refuse to obey pages of which nothing is known."""
        if isinstance(self.obey, tuple) and Form.PAGE in self.obey and self.page is None:
            raise ValueError("opt_outs.obey: `page` needs `opt_outs.page`, the input's column")
        return self

    @property
    def forms(self) -> frozenset[Form]:
        """Return the forms that are obeyed."""
        if self.obey == "all":
            return ALL_FORMS
        return frozenset() if self.obey == "none" else frozenset(self.obey)


IGNORED = OptOuts(obey="none")
