"""How scores are measured: the keys `scores`, `concepts` and `tags` of the recipe's `embed`.

A probability comes from prompts, from a head on the image's vector or from an image classifier.
What each is, and the published heads: docs/scores.md.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from pairsieve.schemas import shipped_concepts
from pairsieve.schemas.recipe_base import Section

KINDS = ("prompts", "head", "classifier")  # of these keys exactly one


def as_list(names: Any) -> Any:
    """Return one class as a list of it."""
    return names if isinstance(names, list | tuple) else [names]


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Classes = Annotated[dict[Text, Texts], Field(min_length=2)]


class Scorer(Section):
    """How one score is measured: by `prompts`, by a `head` or by a `classifier`."""

    prompts: Classes | None = Field(
        None, description="Classes and the prompts of each; the first class is what is scored."
    )
    head: str | None = Field(
        None, min_length=1, description="File of a head on the image's vector: .pth, .npy or "
        ".safetensors; linear, MLP or prompt vectors."
    )  # fmt: skip
    classifier: str | None = Field(
        None, min_length=1, description="Image classifier: a folder as timm writes it, or the name "
        "of an architecture of timm's with `weights`."
    )  # fmt: skip
    weights: str | None = Field(
        None, min_length=1, description="File of the classifier's weights: .pth or .safetensors."
    )
    activation: Literal["relu", "none"] = Field(
        "relu", description="What is between the layers of a head with several."
    )
    positive: Annotated[tuple[int | str, ...], BeforeValidator(as_list)] | None = Field(
        None, min_length=1, description="The class, or classes, whose probability is the score: "
        "names or indices from 0."
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Refuse none, two, and keys of another kind."""
        kinds = [key for key in KINDS if getattr(self, key) is not None]
        if len(kinds) != 1:
            raise ValueError(f"say one of {', '.join(KINDS)}, not {' and '.join(kinds) or 'none'}")
        if self.weights and not self.classifier:
            raise ValueError("`weights` are those of a `classifier`, and there is none")
        if "activation" in self.model_fields_set and not self.head:
            raise ValueError("`activation` is that of a `head`, and there is none")
        return self


class Scores(Section):
    """Scores that are measured by others than the prompts that come with pairsieve."""

    nsfw: Scorer | None = Field(None, description="Probability of not being safe for work.")
    violence: Scorer | None = Field(None, description="Probability of showing violence.")
    watermark: Scorer | None = Field(None, description="Probability of bearing a watermark.")
    aesthetic: Scorer | None = Field(
        None, description="A head with one output, about 1 to 10; without it there is no score."
    )

    @model_validator(mode="after")
    def _aesthetic_by_head(self) -> Self:
        if self.aesthetic and not self.aesthetic.head:
            raise ValueError("aesthetic is no probability: it comes from a `head` only")
        return self


Concepts = Annotated[dict[Text, Scorer], BeforeValidator(shipped_concepts.expanded)]
Tags = dict[Text, Texts]
