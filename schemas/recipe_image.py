"""The section `image` of the recipe: how images are stored."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pairsieve.schemas.recipe_base import Section

SIZES = ("min_side", "max_side", "center_crop", "pad")  # of these keys of `image` at most one


class Image(Section):
    """How images are stored: once, at the widest useful size.

    One of `min_side`, `max_side`, `center_crop` and `pad` says the size; `resize: false` keeps the
    published one. What each policy does is in [pixels.md](pixels.md).
    """

    min_side: int | None = Field(
        512, ge=16, le=8192, description="Shorter side at most this, px. The usual way."
    )
    max_side: int | None = Field(
        None, ge=16, le=8192, description="Instead: longer side at most this, px."
    )
    center_crop: int | None = Field(
        None, ge=16, le=8192, description="Instead: the middle square of at most this side, px."
    )
    pad: int | None = Field(
        None, ge=16, le=8192, description="Instead: all of it in a square of this side, px."
    )
    resize: bool = Field(True, description="False stores images at the size they have.")
    upscale: bool = Field(False, description="Enlarge what is smaller; else it stays small.")
    format: Literal["jpg", "png", "webp"] = Field("jpg", description="Format of the stored image.")
    quality: int = Field(90, ge=1, le=100, description="Quality of jpg and webp.")
    reencode: Literal["always", "needed"] = Field(
        "always", description="`needed` keeps the coded picture of a file that already fits."
    )
    background: str = Field(
        "#ffffff",
        pattern="^#[0-9a-fA-F]{6}$",
        description="Colour under what is transparent and around what is padded.",
    )
    truncated: Literal["drop", "keep_if_decodes"] = Field(
        "drop", description="What becomes of a file that ends too early."
    )
    max_pixels: int = Field(
        178_956_970, ge=1, description="Largest width x height decoded, read from the header, px."
    )
    min_source_side: int = Field(
        1, ge=1, description="Shortest side decoded, read from the header, px."
    )
    max_source_side: int | None = Field(
        None, ge=1, description="Longest side decoded, read from the header, px."
    )
    blur: Literal["faces"] | None = Field(
        None,
        description="What is found in the picture, blurred and listed in the column `face_boxes`; "
        "needs the extra `faces`.",
    )
    blur_boxes: str | None = Field(
        None, min_length=1, description="Input column of boxes to blur, e.g. of faces."
    )
    blur_unit: Literal["fraction", "px"] = Field(
        "fraction", description="Unit of the boxes: of the upright image's sides, or its pixels."
    )
    read_text: bool = Field(
        False,
        description="Read what is printed in the picture, for `printed_text` and `printed_share`; "
        "needs the extra `ocr`.",
    )
    measure: Literal["all", "used"] | tuple[str, ...] = Field(
        "all",
        description="Which measures of pixels are made, of those that a rule can read: `all`, so "
        "that later rules may read any; those `used` by this recipe; or a list of names.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_size(cls, content: Any) -> Any:
        """Let `min_side` give way to another size; refuse two."""
        if not isinstance(content, dict):
            return content
        sizes = [key for key in SIZES if content.get(key) is not None]
        unresized = content.get("resize") is False
        if len(sizes) > 1 or (sizes and unresized):
            raise ValueError(
                f"say one of {', '.join(SIZES)}, or `resize: false`, not "
                f"{' and '.join([*sizes, *['resize: false'] * unresized])}"
            )
        if sizes == ["min_side"] or not (sizes or unresized):
            return content
        return content | {"min_side": None}

    def shaping(self) -> dict[str, Any]:
        """Return what shapes the stored image; `blur` only where it is asked for, as it is new."""
        return self.model_dump(
            exclude={"measure", "read_text"} | ({"blur"} if self.blur is None else set())
        )

    @property
    def size_key(self) -> str:
        """Return which of `SIZES` says the size, or "none"."""
        return next((key for key in SIZES if getattr(self, key) is not None), "none")

    @property
    def side(self) -> int:
        """Return the side that it says, px; 0 for "none"."""
        return 0 if self.size_key == "none" else int(getattr(self, self.size_key))
