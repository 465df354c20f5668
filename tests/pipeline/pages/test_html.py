"""What is read of a page's HTML."""

from collections import Counter
from typing import Any

import pytest

from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages.html import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    TooComplex,
    depth,
    language_tag,
    parse,
)
from pairsieve.pipeline.pages.page import Page, Pair, pairs
from pairsieve.schemas.recipe_pages import Pages

URL = canonical("https://a.example/b/c.html")


def page(html: str, words: int = 20) -> Page:
    assert URL
    found = parse(html, URL, None, words)
    assert found
    return found


def found(html: str) -> list[Pair]:
    return list(pairs(page(html), Pages(), Counter()))


SHARED = "<meta property=og:image content=a.jpg>"
FIGURE = "<figure><a><img src=a.jpg></a><figcaption>A<br><b>cap</b>tion</figcaption></figure>"


@pytest.mark.parametrize(
    ("html", "text", "source"),
    [
        ("<img src=a.jpg alt=' a \n cat '>", "a cat", "alt"),
        ("<img src=a.jpg alt='' title='a &amp; b'>", "a & b", "title"),
        ("<img src=a.jpg aria-label=label title=t>", "label", "aria-label"),
        (FIGURE, "A caption", "figcaption"),
        ("<img src=a.jpg data-caption=c>", "c", "data-caption"),
        ("<amp-img src=a.jpg alt=amp></amp-img>", "amp", "alt"),
        ("<input type=IMAGE src=a.jpg alt=go>", "go", "alt"),
        ("<noscript><img src=a.jpg alt=n></noscript>", "n", "alt"),
        ("<noscript><img src=a.jpg alt=head></noscript><title>t</title>", "head", "alt"),
        (SHARED + "<meta property=og:title content=T>", "T", "og:title"),
        (SHARED + "<meta property=og:image:alt content=A>", "A", "og:image:alt"),
    ],
)
def test_a_text_is_found_wherever_it_stands(html: str, text: str, source: str) -> None:
    (pair,) = found(html)
    assert (pair.url, pair.text, pair.text_source) == ("https://a.example/b/a.jpg", text, source)


def test_what_is_no_element_is_no_image() -> None:
    html = (
        "<!-- <img src=a alt=a> --><script>'<img src=b alt=b>'</script>"
        "<textarea><img src=c alt=c></textarea><template><img src=d alt=d></template>"
        "<img src=e.jpg alt=e>"
    )
    assert [pair.text for pair in found(html)] == ["e"]


def test_the_picture_around_an_image_has_the_widest() -> None:
    html = (
        "<picture><source srcset='w.webp 640w, x.webp 1280w'><source srcset='y.jpg 960w'>"
        "<img src=s.jpg alt=p></picture>"
    )
    (pair,) = found(html)
    assert (pair.url, pair.url_source) == ("https://a.example/b/x.webp", "picture")


def test_the_base_of_the_page_is_used_and_only_the_first_one() -> None:
    html = "<base href=//other.example/x/><base href=/y/><img src=../a.jpg alt=a><img src=?q alt=b>"
    assert [pair.url for pair in found(html)] == [
        "https://other.example/a.jpg",
        "https://other.example/x/?q",
    ]


def test_words_around_an_image_are_kept_without_scripts() -> None:
    html = (
        "<title>no</title><p>one two <b>three</b><script>x</script><img alt=a src=a>four<p>five six"
    )
    (image,) = page(html, 2).images
    assert (image.before, image.after) == ("two three", "four five")


def test_no_words_around_are_kept_where_none_are_wanted() -> None:
    (image,) = page("<p>one<img alt=a src=a>two", 0).images
    assert (image.before, image.after) == (None, None)


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ("<html lang=en-GB>", "en-GB"),
        ("<html><meta http-equiv=Content-Language content='de, fr'>", "de"),
        ("<html lang='x y'>", None),
        ("<html>", None),
    ],
)
def test_the_language_is_what_the_page_says(html: str, language: str | None) -> None:
    assert page(html + "<img>").language == language


def test_the_language_of_a_header_is_the_last_resort() -> None:
    assert language_tag("pt-BR, en") == "pt-BR"
    assert language_tag("*") is None


CC = "http://creativecommons.org/licenses/by/4.0/"
NESTED = '[{"a":1},{"@graph":[{"license":{"@id":"https://l.example/1"}}]}]'
ITEM = "<span itemprop=license content=https://l.example/2>"
LD = '<script type="application/ld+json">{}</script>'


@pytest.mark.parametrize(
    ("html", "url", "source"),
    [
        ("<a rel='nofollow LICENSE' href=/terms>", "https://a.example/terms", "rel"),
        ("<link rel=license href=//b.example/l>", "https://b.example/l", "rel"),
        (LD.format(NESTED), "https://l.example/1", "schema.org"),
        (ITEM, "https://l.example/2", "schema.org"),
        (f"<a href={CC}>", CC, "link"),
        (f"<a href={CC}><a rel=license href=/own>", "https://a.example/own", "rel"),
        ("<a href=https://creativecommons.org/about>", None, None),
        (LD.format('{"license": '), None, None),
        (LD.format('{"license":' + "[" * 100_000), None, None),
    ],
)
def test_the_licence_of_a_page_is_found(html: str, url: str | None, source: str | None) -> None:
    read = page(html + "<img>")
    assert (read.license_url, read.license and read.license.source) == (url, source)


def test_a_page_without_an_image_is_not_parsed() -> None:
    assert URL
    assert parse("<p>" * 1_000_000, URL, None, 20) is None


HOSTILE = {
    "paragraphs": "<p>" * 200_000,
    "cells": "<table><tr><td>x<td>" * 20 + "<td>x" * 50_000,
    "links": "<a href=x>" * 50_000,
    "closed": "<div></div>" * 100_000,
    "one tag": "<img alt='" + "x" * 5_000_000 + "'>",
    "attributes": "<img " + " ".join(f"a{number}=1" for number in range(4_000)) + ">",
    "nothing but NUL": "\0" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_read(name: str) -> None:
    (pair,) = found(HOSTILE[name] + "<img src=a.jpg alt=last>")[-1:]
    assert pair.text == "last"


@pytest.mark.parametrize("tag", ["div", "span", "b", "table"])
def test_a_page_that_is_too_deep_is_not_parsed(tag: str) -> None:
    with pytest.raises(TooComplex):
        page(f"<{tag}>" * (MAX_DEPTH + 1) + "<img>")


@pytest.mark.parametrize("between", [" ", "/", "='>' ", '="<a>"'])
def test_an_element_with_attributes_without_end_is_not_parsed(between: str) -> None:
    with pytest.raises(TooComplex):
        page("<img " + between.join(f"a{n}" for n in range(MAX_ATTRIBUTES + 2)) + ">")


def test_an_attribute_of_any_length_is_read() -> None:
    assert found(f"<img src=a.jpg alt=a style='{'x y ' * 50_000}'>" * 2)


def test_the_depth_is_never_less_than_it_is() -> None:
    from selectolax.lexbor import LexborHTMLParser

    for html in ("<div><p></div>" * 9 + "<div>" * 9, "</div>" * 9 + "<div>" * 9, "<div></p>" * 9):
        node: Any = LexborHTMLParser(html).css("div")[-1]
        real = -2  # of html and body, which do not count
        while (node := node.parent) is not None and node.tag != "-document":
            real += 1
        assert depth(html) > real


@pytest.mark.parametrize(
    ("html", "robots"),
    [
        ("<meta name=robots content='noai, noimageai'>", "noai, noimageai"),
        ("<META NAME=' Robots' CONTENT='index'><meta name=robots content=noml>", "index, noml"),
        ("<meta content=1 name=tdm-reservation>", "tdm-reservation: 1"),
        ("<meta name=otherbot content=noai>", None),
        ("<meta name=robots>", None),
        ("<p>name=robots content=noai</p>", None),
    ],
)
def test_what_a_page_says_to_robots(html: str, robots: str | None) -> None:
    assert page(html + "<img>").robots == robots
