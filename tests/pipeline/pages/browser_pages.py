"""Pages that a browser reads in its own way: Content-Type and bytes of each."""

# ruff: noqa: E501

UTF8 = "text/html; charset=utf-8"
PAGES: dict[str, tuple[str, bytes]] = {
    "plain": (UTF8, b"<!doctype html><html lang=en><title>t</title><p>a<img src=a.jpg alt='A cat'>b"),
    "no_tags": (UTF8, b"text<IMG SRC=a.jpg ALT=one>more<image src=b.jpg alt=two>"),
    "unclosed": (UTF8, b"<div><p><b><img src=a.jpg alt=x<i>><img alt='y' src='b.jpg'"),
    "quotes": (UTF8, b"<img src=\"a.jpg\"alt='it''s'title=x><img alt=`tick` src=b.jpg/>"),
    "twice": (UTF8, b"<img src=a.jpg src=b.jpg alt=one alt=two><img/src=c.jpg/alt=three>"),
    "entities": (
        UTF8,
        b"<img src='a.jpg?x=1&amp;y=2&copy=3&#x26;z=4' alt='&lt;b&gt; &eacute; &amp;amp; &notit; &#128;'>",
    ),
    "spaces": (UTF8, b"<img src=' \n a\tb\n.jpg  ' alt='  a \xc2\xa0 b\n\tc '>"),
    "urls": (
        UTF8,
        b"<img src=//h.example/a.jpg alt=1><img src=\\\\h.example\\b.jpg alt=2><img src=?q alt=3>"
        b"<img src=../../../c.jpg alt=4><img src=http:d.jpg alt=5><img src='e f\xc3\xa9.jpg' alt=6>"
        b"<img src=HTTP://H.EXAMPLE:80/%7Eg alt=7><img src=http://b\xc3\xbccher.example/h alt=8>"
        b"<img src=http://[::1]/i alt=9><img src=#x alt=11>"
        b"<img src=data:image/png;base64,AA== alt=12><img src=javascript:x alt=13><img alt=14>"
        b"<img src='' alt=15><img src=http://1.1/ alt=16><img src=j.jpg#f alt=17>",
    ),
    "base": (UTF8, b"<base target=x><base href=/x/y/><base href=/z/><img src=a.jpg alt=a>"),
    "base_late": (UTF8, b"<img src=a.jpg alt=a><base href=//h.example/q/>"),
    "base_bad": (UTF8, b"<base href='data:,x'><img src=a.jpg alt=a>"),
    "srcset": (
        UTF8,
        b"<img src=s alt=1 srcset='a.jpg 320w, b.jpg 640w,c.jpg 480w'>"
        b"<img src=s alt=2 srcset=' , d,e.jpg 2x , f.jpg 3x,'><img alt=3 srcset='g.jpg 1.5x, h.jpg'>"
        b"<img src=s alt=4 srcset='i.jpg 100w 50h, j.jpg 50w'><img alt=5 srcset='k.jpg 9x 9w, l.jpg 2x'>"
        b"<img alt=6 srcset='data:,m 1w, n.jpg 2w'><img alt=7 srcset='o.jpg x(2x, 3x) , p.jpg 2x'>"
        b"<img alt=8 srcset='q.jpg 2x,, r.jpg 3x'><img alt=9 srcset='s.jpg 1e1x, t.jpg 7x'>"
        b"<img alt=10 src=u.jpg srcset='v.jpg 0w, w.jpg -1x'><img alt=11 srcset=\"x.jpg\t2x\n,y.jpg 3x\">",
    ),
    "picture": (
        UTF8,
        b"<picture><source srcset='a.webp 640w, b.webp 1280w' type=image/webp><source srcset='c 320w'>"
        b"<img src=d.jpg alt=one></picture><picture><img src=e.jpg alt=two><p>x</picture>",
    ),
    "lazy": (
        UTF8,
        b"<img src=data:image/gif;base64,R0 data-src=a.jpg alt=1><img data-original=b.jpg alt=2>"
        b"<img src=x.gif data-srcset='c.jpg 1w, d.jpg 2w' alt=3><img data-lazy-src=e.jpg src=y alt=4>",
    ),
    "noscript": (
        UTF8,
        b"<body><img data-src=a.jpg alt=a><noscript><img src=b.jpg alt=b><p>no</noscript>",
    ),
    "noscript_head": (UTF8, b"<head><noscript><link href=x><img src=a.jpg alt=a></noscript><title>t"),
    "figure": (
        UTF8,
        b"<figure><div><img src=a.jpg></div><figcaption>The <i>cap</i>tion &amp; more</figcaption>"
        b"<figure><img src=b.jpg><figcaption>inner</figcaption></figure></figure><figure><img src=c>",
    ),
    "labels": (UTF8, b"<img src=a aria-label=label title=t alt=''><img src=b title=' t '><img src=c>"),
    "input": (UTF8, b"<form><form><input type=IMAGE src=a.png alt=go><input type=text src=b alt=no>"),
    "raw_text": (
        UTF8,
        b"<title><img src=a alt=a></title><textarea><img src=b alt=b></textarea><style><img src=c alt=c>"
        b"</style><script>'<img src=d alt=d>'</script><xmp><img src=e alt=e></xmp><iframe><img src=f alt=f>"
        b"</iframe><noembed><img src=g alt=g></noembed><!-- <img src=h alt=h> --><![CDATA[<img src=i alt=i>]]>"
        b"<noframes><img src=j alt=j></noframes><img src=k.jpg alt=k><plaintext><img src=l alt=l>",
    ),
    "template": (UTF8, b"<template><img src=a alt=a></template><select><img src=b alt=b><option><img src=c alt=c></select>"),
    "tables": (UTF8, b"<table><img src=a alt=a><tr><img src=b alt=b><td><img src=c alt=c></table>"),
    "foreign": (UTF8, b"<svg><image href=a /><img src=b alt=b><title><img src=c alt=c></title></svg><math><img src=d alt=d></math><svg><foreignObject><img src=e alt=e>"),
    "frames": (UTF8, b"<frameset><frame src=a><noframes><img src=b alt=b></noframes></frameset><img src=c alt=c>"),
    "formatting": (UTF8, b"<a><b><a><p></b><img src=a alt=a></a><nobr><nobr><img src=b alt=b></i></p><img src=c alt=c>"),
    "after_body": (UTF8, b"<body></body></html><img src=a alt=a><!-- x --><p><img src=b alt=b>"),
    "nul": (UTF8, b"<img src=a\0b.jpg alt='x\0y'><im\0g src=c alt=c>\0<img src=d alt=d>"),
    "invalid_utf8": (UTF8, b"<img src=a.jpg alt='\xff\xc3\xa9\xe2\x82'>"),
    "shared": (
        UTF8,
        b"<meta property='og:title' content='The title'><meta property='og:image' content='/a.jpg'>"
        b"<meta property='og:image:alt' content='An  alt'><meta property='og:image' content='b.jpg'>",
    ),
    "cp1251": ("text/html; charset=windows-1251", "<img src=a alt='Привет мир'>".encode("cp1251")),
    "meta_sjis": ("text/html", b"<meta charset=Shift_JIS>" + "<img src=a alt='日本語 ～'>".encode("cp932")),
    "meta_gb": (
        "text/html",
        b"<meta http-equiv=content-type content='text/html;charset=gb2312'>"
        + "<img src=a alt='中文囧'>".encode("gb18030"),
    ),
    "meta_latin": ("text/html", b"<meta charset=iso-8859-1><img src=a alt='\x80\x93 \xe9'>"),
    "euc_kr": ("text/html; charset=euc-kr", "<img src=a alt='한국어 똠'>".encode("cp949")),
    "big5": ("text/html; charset=big5", "<img src=a alt='繁體中文'>".encode("big5")),
    "euc_jp": ("text/html; charset=euc-jp", "<img src=a alt='日本語'>".encode("euc_jp")),
    "koi8": ("text/html", b"<meta charset='koi8-r'>" + "<img src=a alt='Привет'>".encode("koi8-r")),
    "bom_16": ("text/html", b"\xff\xfe" + "<img src=a alt='é ü'>".encode("utf-16-le")),
    "bom_8": ("text/html; charset=cp1251", b"\xef\xbb\xbf" + "<img src=a alt='é ü'>".encode()),
    "utf_16_meta": ("text/html", b"<meta charset=utf-16>" + "<img src=a alt='é ü'>".encode()),
    "header_wins": ("text/html; charset=utf-8", b"<meta charset=cp1251>" + "<img src=a alt='é'>".encode()),
    "language": (UTF8, b"<html lang=pt-BR><img src=a alt=a>"),
}  # fmt: skip
