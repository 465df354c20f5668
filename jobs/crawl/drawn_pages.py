"""Pages of a web that there is not, with as many links and images as those of Common Crawl have.

Words are as unevenly common as on the web. Source of the numbers: of the links of a WAT file of
2017, 7.8 million are anchors and 1.27 million images, on 45,000 pages
(https://gist.github.com/sebastian-nagel/ff4379f9e2115d3c922416d520274b86); 55 % of images have a
text in `alt` (Web Almanac 2022, https://almanac.httparchive.org/en/2022/accessibility).
"""

from collections.abc import Iterator

import numpy as np

from pairsieve.jobs.bench_data import zipf_captions
from pairsieve.jobs.bench_data.draws import Draws
from pairsieve.jobs.bench_data.web_archives import CrawledPage

ANCHORS, IMAGES, PARAGRAPHS = 173, 28, 40  # of a page
WITH_ALT = 0.55
TEXTS = ANCHORS + IMAGES + PARAGRAPHS


def drawn_pages(count: int, seed: int) -> Iterator[CrawledPage]:
    """Yield so many pages; the same ones for the same seed."""
    words, draws = zipf_captions.vocabulary(seed), Draws(seed)
    for number in range(count):
        ids = np.arange(number * TEXTS, (number + 1) * TEXTS, dtype=np.uint64)
        texts = zipf_captions.texts(ids, words, draws)
        with_alt = draws.share("alt", ids) < WITH_ALT
        yield _page(number, texts, with_alt.tolist())


def _page(number: int, texts: list[str], with_alt: list[bool]) -> CrawledPage:
    """Return a page of these texts."""
    url = f"https://www.host{number // 7}.example"
    title = f"<meta property=og:title content='{texts[2]}'>"
    body = [
        f"<html lang=en><head><title>{texts[0]}</title><meta name=description content='{texts[1]}'>"
        f"<meta property=og:image content={url}/og.jpg>{title}"
    ]
    body += [
        f"<link rel=stylesheet href=/css/{name}.css><script src=/js/{name}.js></script>"
        for name in texts[3].split()
    ]
    body.append("</head><body>")
    for place, (text, alt) in enumerate(zip(texts, with_alt, strict=True)):
        words = text.split()
        name = "-".join(words[:2])
        if place < ANCHORS:
            title = f" title='{words[0]}'" if place % 5 == 0 else ""
            body.append(f"<li><a href=/{name}/{place}.html{title}>{' '.join(words[:3])}</a></li>")
        elif place < ANCHORS + IMAGES:
            root = url if place % 2 else ""
            said = f" alt='{' '.join(words[:6])}'" if alt else ""
            body.append(f"<img src='{root}/uploads/2024/05/{name}-{place}.jpg'{said}>")
        else:
            body.append(f"<p>{' '.join(texts[place - 5 : place + 1])}</p>")
    return CrawledPage(f"{url}/{number}", "".join(body).encode())
