"""A drawn person whose face a detector takes for one, and where it is."""

from PIL import Image, ImageDraw, ImageFilter

SIZE = (640, 480)
FACE = (303.0, 177.0, 337.0, 224.0)  # px, the oval of the face
HAIR, SKIN, DARK, LIPS = (60, 40, 30), (224, 172, 140), (110, 40, 40), (180, 80, 80)


def person() -> Image.Image:
    """Return a picture of one person before a plain wall, 640 x 480 px."""
    image = Image.new("RGB", SIZE, (90, 120, 150))
    draw = ImageDraw.Draw(image)
    draw.rectangle((288, 230, 352, 480), fill=(40, 60, 120))
    draw.rectangle((313, 218, 327, 234), fill=(205, 150, 120))
    draw.ellipse((299, 170, 341, 214), fill=HAIR)
    draw.ellipse(FACE, fill=SKIN)
    for x in (313, 327):
        draw.ellipse((x - 4, 195, x + 4, 199), fill=(245, 245, 245))
        draw.ellipse((x - 2, 195, x + 2, 199), fill=HAIR)
        draw.line((x - 4, 192, x + 4, 192), fill=HAIR)
    draw.polygon([(319, 198), (323, 207), (317, 208)], fill=(200, 145, 115))
    draw.ellipse((314, 211, 326, 215), fill=LIPS)
    draw.line((314, 213, 326, 213), fill=DARK)
    return image.filter(ImageFilter.GaussianBlur(0.6))
