"""The columns that are counted over the whole pool, by `group`."""

import pyarrow as pa

from pairsieve.schemas.column import InSample

CAPTION_COUNT = InSample(
    "caption_count",
    pa.int64(),
    "pairs",
    "Different pairs of the input with this caption, in NFKC, without case, spaces collapsed.",
)
URL_COUNT = InSample("url_count", pa.int64(), "pairs", "Different pairs of the input at this URL.")
HOST_COUNT = InSample(
    "host_count", pa.int64(), "pairs", "Different pairs of the input on this host."
)
CAPTIONS_OF_HOST = InSample(
    "captions_of_host", pa.int64(), "captions", "Different captions of the pairs on this host."
)
CAPTIONS_OF_IMAGE = InSample(
    "captions_of_image",
    pa.int64(),
    "captions",
    "Different captions of the images whose file is the same, by its SHA-256.",
)

COUNTED = (CAPTION_COUNT, URL_COUNT, HOST_COUNT, CAPTIONS_OF_HOST, CAPTIONS_OF_IMAGE)
