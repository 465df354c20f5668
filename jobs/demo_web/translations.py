"""Captions in other languages: whole natural sentences, so that their language can be detected.

They name single shapes with their colours ("among them a red circle"), which stays true whatever
the number of each, and keep to words that agree in gender.
"""

from dataclasses import dataclass

import numpy as np

from pairsieve.jobs.demo_web.scenes import COLOURS, KINDS, Scene


@dataclass(frozen=True, slots=True)
class _Language:
    """Words of one language.

    Attributes:
        kinds: Word for each of KINDS, with its gender's number: an index into the forms.
        colours: For each of COLOURS the forms by gender, or one for all.
        phrase: How the forms, colour and noun make a phrase, by gender.
        templates: Sentences around `{shapes}`.
        joint: What stands between two phrases.
    """

    kinds: tuple[tuple[str, int], ...]
    colours: tuple[tuple[str, ...], ...]
    phrase: tuple[str, ...]
    templates: tuple[str, ...]
    joint: str


def _words(text: str) -> tuple[tuple[str, int], ...]:
    """Return kinds from "word:gender word:gender"; "_" stands for a space."""
    pairs = (item.split(":") for item in text.split())
    return tuple((word.replace("_", " "), int(gender)) for word, gender in pairs)


def _forms(text: str) -> tuple[tuple[str, ...], ...]:
    """Return colours from "form/form form/form"."""
    return tuple(tuple(item.split("/")) for item in text.split())


_LANGUAGES = {
    "de": _Language(
        _words(
            "Kreis:0 Quadrat:1 Dreieck:1 Stern:0 Ring:0 Kreuz:1 Herz:1 Sechseck:1 Rhombus:0 "
            "Halbmond:0"
        ),
        _forms(
            "roter/rotes orangefarbener/orangefarbenes gelber/gelbes grüner/grünes blauer/blaues "
            "violetter/violettes rosafarbener/rosafarbenes brauner/braunes schwarzer/schwarzes "
            "weißer/weißes grauer/graues"
        ),
        ("ein {colour} {kind}", "ein {colour} {kind}"),
        (
            "Auf diesem Bild sind einfache Formen zu sehen, darunter {shapes}.",
            "Vor einem gemusterten Hintergrund liegt auf diesem Foto {shapes}.",
        ),
        " und ",
    ),
    "fr": _Language(
        _words(
            "cercle:0 carré:0 triangle:0 étoile:1 anneau:0 croix:1 cœur:0 hexagone:0 losange:0 "
            "croissant:0"
        ),
        _forms(
            "rouge/rouge orange/orange jaune/jaune vert/verte bleu/bleue violet/violette rose/rose "
            "marron/marron noir/noire blanc/blanche gris/grise"
        ),
        ("un {kind} {colour}", "une {kind} {colour}"),
        (
            "Sur cette image, on voit des formes simples, parmi lesquelles {shapes}.",
            "Cette photo montre {shapes} devant un fond à motifs.",
        ),
        " et ",
    ),
    "es": _Language(
        _words(
            "círculo:0 cuadrado:0 triángulo:0 estrella:1 anillo:0 cruz:1 corazón:0 hexágono:0 "
            "rombo:0 creciente:0"
        ),
        _forms(
            "rojo/roja naranja/naranja amarillo/amarilla verde/verde azul/azul morado/morada "
            "rosa/rosa marrón/marrón negro/negra blanco/blanca gris/gris"
        ),
        ("un {kind} {colour}", "una {kind} {colour}"),
        (
            "En esta imagen se pueden ver figuras sencillas, entre ellas {shapes}.",
            "La fotografía muestra {shapes} sobre un fondo con dibujos.",
        ),
        " y ",
    ),
    "ru": _Language(
        _words(
            "круг:0 квадрат:0 треугольник:0 звезда:1 кольцо:2 крест:0 сердце:2 "
            "шестиугольник:0 ромб:0 полумесяц:0"
        ),
        _forms(
            "красный/красная/красное оранжевый/оранжевая/оранжевое жёлтый/жёлтая/жёлтое "
            "зелёный/зелёная/зелёное синий/синяя/синее фиолетовый/фиолетовая/фиолетовое "
            "розовый/розовая/розовое коричневый/коричневая/коричневое чёрный/чёрная/чёрное "
            "белый/белая/белое серый/серая/серое"
        ),
        ("{colour} {kind}",) * 3,
        (
            "На этой картинке изображены простые фигуры, среди них {shapes}.",
            "На фотографии можно увидеть {shapes} на фоне с узором.",
        ),
        " и ",
    ),
    "zh": _Language(
        _words(
            "圆形:0 正方形:0 三角形:0 五角星:0 圆环:0 十字:0 心形:0 六边形:0 菱形:0 月牙:0"
        ),
        _forms("红色 橙色 黄色 绿色 蓝色 紫色 粉红色 棕色 黑色 白色 灰色"),
        ("{colour}的{kind}",),
        (
            "这张图片上可以看到一些简单的图形，其中有{shapes}。",
            "照片里有花纹的背景上放着{shapes}。",
        ),
        "和",
    ),
    "ja": _Language(
        _words(
            "円:0 正方形:0 三角形:0 星:0 輪:0 十字:0 ハート:0 六角形:0 ひし形:0 三日月:0"
        ),
        _forms("赤い オレンジ色の 黄色い 緑色の 青い 紫色の ピンク色の 茶色の 黒い 白い 灰色の"),
        ("{colour}{kind}",),
        (
            "この画像には簡単な図形が描かれていて、その中に{shapes}があります。",
            "写真には模様のある背景の上に置かれた{shapes}が写っています。",
        ),
        "と",
    ),
}  # fmt: skip
LANGUAGES = tuple(_LANGUAGES)  # ISO 639-1


def translated_caption(scene: Scene, language: str, rng: np.random.Generator) -> str:
    """Return a sentence in `language`, one of LANGUAGES, that is true of `scene`."""
    words = _LANGUAGES[language]
    phrases = []
    for _, colour, kind in scene.groups[:2]:
        noun, gender = words.kinds[KINDS.index(kind)]
        form = words.colours[list(COLOURS).index(colour)][gender]
        phrases.append(words.phrase[gender].format(colour=form, kind=noun))
    template = words.templates[rng.integers(len(words.templates))]
    return template.format(shapes=words.joint.join(phrases))
