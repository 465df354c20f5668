"""The section `captions` of the recipe: texts that a model behind an endpoint writes."""

import re
from string import Formatter
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, model_validator

from pairsieve.schemas.columns import CAPTION_TEXTS
from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section

ALL = "all"  # of `of`: no selection
COLUMNS = tuple(column.name for column in CAPTION_TEXTS)
PLACEHOLDERS = ("text", "url", "language")
# Fields of a request that other keys say, or by which another number of answers would come.
TAKEN = (
    "messages", "model", "max_tokens", "max_completion_tokens", "n", "stream", "response_format",
)  # fmt: skip


def _endpoint(url: str) -> str:
    """Refuse what is no base of an OpenAI-compatible service."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be like http://localhost:8000/v1, got {url!r}")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password: name a variable in `api_key_env`")
    if parts.query or parts.fragment:
        raise ValueError("must end with the path, with no `?` or `#`")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"must be printable ASCII without spaces, got {url!r}")
    return url.rstrip("/")


def _template(prompt: str) -> str:
    """Refuse a template with other placeholders than there are."""
    try:
        fields = [field for field in Formatter().parse(prompt) if field[1] is not None]
    except ValueError as error:
        raise ValueError(f"{error}; write `{{{{` for a brace") from error
    for _, name, spec, conversion in fields:
        if name not in PLACEHOLDERS or spec or conversion:
            near = nearest(str(name), list(PLACEHOLDERS))
            raise ValueError(f"no placeholder `{{{name}}}`; {near}; write `{{{{` for a brace")
    return prompt


def _columns(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in COLUMNS:
            raise ValueError(
                f"there is no column `{name}` of captions; {nearest(name, [*COLUMNS])}"
            )
    if len(set(names)) < len(names):
        raise ValueError("a column is listed twice")
    return names


def _parameters(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if taken := next((name for name in parameters if name in TAKEN), None):
        raise ValueError(f"`{taken}` is said by other keys, or is fixed")
    return parameters


class Captions(Section):
    """Captions or translations by a model behind an OpenAI-compatible endpoint, for `caption`.

    The URL is yours, so it may be on this machine or in a private network; redirects are not
    followed. Images and texts of the pairs are sent there. See [recaption.md](recaption.md).
    """

    url: Annotated[str, AfterValidator(_endpoint)] = Field(
        description="Base of the service, e.g. `http://localhost:8000/v1`."
    )
    model: str = Field(min_length=1, description="Name by which the service knows the model.")
    prompt: Annotated[str, AfterValidator(_template)] = Field(
        min_length=1,
        description="What is asked; `{text}`, `{language}` and `{url}` stand for the pair's.",
    )
    columns: Annotated[tuple[str, ...], AfterValidator(_columns)] = Field(
        ("recaption",),
        min_length=1,
        description="Where the answer goes: `recaption`, `short_recaption`, `translation`. For "
        "several the model answers JSON with these keys.",
    )
    of: str = Field(
        ALL, min_length=1, description="`all` pairs with an image, or the survivors of a selection."
    )
    image: bool = Field(True, description="Send the stored image.")
    system: str | None = Field(None, min_length=1, description="Instruction before the prompt.")
    max_tokens: int = Field(
        256, ge=1, le=100_000, description="Of an answer; cut ones are dropped."
    )
    temperature: float = Field(0, ge=0, le=2, description="Of sampling.")
    parameters: Annotated[dict[str, JsonValue], AfterValidator(_parameters)] = Field(
        {}, description="Further fields of each request, e.g. `{top_p: 0.9}`."
    )
    api_key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the API key, on every machine that works.",
    )
    concurrency: int = Field(32, ge=1, le=1024, description="Requests under way, of all workers.")
    requests_per_s: float | None = Field(
        None, gt=0, le=100_000, description="Requests per second at most, of all workers."
    )
    timeout_s: float = Field(120, gt=0, le=3600, description="Limit for one whole answer, s.")
    retries: int = Field(5, ge=0, le=20, description="Further attempts after a passing failure.")
    backoff_s: float = Field(
        1, ge=0, le=60, description="Wait before the first of them, s; it doubles each time."
    )
    failures_in_a_row: int = Field(
        20, ge=1, le=1_000_000, description="After so many pairs without an answer it stops."
    )
    price_in: float = Field(0, ge=0, description="Price of a million tokens sent.")
    price_out: float = Field(0, ge=0, description="Price of a million tokens answered.")
    max_cost: float | None = Field(
        None, gt=0, description="It stops once these captions have cost so much; needs the prices."
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        """Refuse one question for all pairs, and a budget that nothing counts against."""
        if not self.image and not re.search(r"(?<!\{)(?:\{\{)*\{text\}", self.prompt):
            raise ValueError("prompt: without the image it must hold `{text}`")
        if self.max_cost is not None and not (self.price_in or self.price_out):
            raise ValueError("max_cost: needs `price_in` or `price_out`, by which cost is counted")
        return self
