"""What measures may read besides columns: arrays of a picture or text, never in the ledger."""

import pyarrow as pa

from pairsieve.schemas.column import Column

LUMA = Column(
    "luma", pa.list_(pa.uint8()), "[0, 255]", "Luma plane of the stored image, (h, w).", False
)
LUMA_256 = Column(
    "luma_256",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "That plane by area averages, shorter side at most 256 px, never enlarged, (h, w).",
    False,
)
COLOURS = Column(
    "colours",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "The stored image by area averages at 5 x 5 px, RGB, (5, 5, 3).",
    False,
)
TRIMMED_LUMA = Column(
    "trimmed_luma",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "`luma_256` without its borders, (h, w); null where it has none.",
    False,
)
TRIMMED_COLOURS = Column(
    "trimmed_colours",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "`colours` of the image without its borders, (5, 5, 3); null where it has none.",
    False,
)
ORIENTATIONS = Column(
    "orientations", pa.list_(pa.string()), "", "In which the image is hashed as well.", False
)
IMAGE_EMBEDDING = Column(
    "image_embedding", pa.list_(pa.float16()), "", "CLIP vector of the image, length 1.", False
)
TEXT_EMBEDDING = Column(
    "text_embedding", pa.list_(pa.float16()), "", "CLIP vector of the text, length 1.", False
)
PROMPT_LOGITS = Column(
    "prompt_logits",
    pa.list_(pa.float32()),
    "",
    "Scaled cosines to the filter's prompts, one per class.",
    False,
)
