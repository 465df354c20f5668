"""The recipe's sections on what lies outside the dataset: earlier datasets and evaluation sets."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pairsieve.schemas.recipe_base import Section

MAX_PHASH_DISTANCE = 10  # bits; with more, different pictures match


class EarlierDatasets(Section):
    """Earlier datasets, to compare images with; see [reference-sets.md](reference-sets.md)."""

    datasets: tuple[str, ...] = Field(
        min_length=1, description="Datasets, or Parquet files that `pairsieve hashes` wrote."
    )
    selection: str | None = Field(
        None,
        min_length=1,
        description="Of the datasets, only the survivors of this selection; none: all images.",
    )
    max_distance: int = Field(
        4, ge=0, le=MAX_PHASH_DISTANCE, description="Bits in which the pHash of a copy may differ."
    )
    keep: Literal["older", "newer"] = Field(
        "older", description="Which of two copies stays; `newer` lists the older as superseded."
    )


class EvaluationSet(Section):
    """Images that a model will be tested on."""

    name: str = Field(min_length=1, description="Name in the ledger and the report.")
    path: str = Field(
        min_length=1,
        description="Images or tars of them: file, folder or glob; local, s3://, gs:// or az://.",
    )


class Decontaminate(Section):
    """Evaluation sets, images not to be trained on; see [reference-sets.md](reference-sets.md)."""

    sets: tuple[EvaluationSet, ...] = Field(
        min_length=1, description="The sets, each `{name: NAME, path: PATH}`."
    )
    max_distance: int = Field(
        4, ge=0, le=MAX_PHASH_DISTANCE, description="Bits in which the pHash of a copy may differ."
    )
    vectors: bool = Field(
        False, description="Compare the vectors of `embed` too, which gives `eval_overlap`."
    )

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [each.name for each in self.sets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sets are called {name!r}; give each a name of its own")
        return self
