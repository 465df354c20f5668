"""Thumbnails: images small enough to lie inside a page."""

from base64 import b64encode
from io import BytesIO

THUMBNAIL_PX = 160
THUMBNAIL_QUALITY = 72


def thumbnail(data: bytes) -> str:
    """Return a stored image, at most THUMBNAIL_PX wide and high, as the URI of a JPEG."""
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    sink = BytesIO()
    small.save(sink, "JPEG", quality=THUMBNAIL_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(sink.getvalue()).decode()}"
