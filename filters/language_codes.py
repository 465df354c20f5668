"""Codes of languages: two letters, three letters, and the scripts in which lid.176 knows them.

Source: ISO 639-1, 639-3 and its macrolanguages; the labels are those of lid.176, OpenLID
(arXiv:2305.13820) and GlotLID (arXiv:2310.16248).
"""

# Two letters (ISO 639-1), then the codes of three letters that models use for the same language.
_CODES = """
af afr,am amh,ar ara arb,as asm,av ava,az aze azj,ba bak,be bel,bg bul,bn ben,bo bod,br bre,bs bos,
ca cat,ce che,co cos,cs ces,cv chv,cy cym,da dan,de deu,dv div,dz dzo,el ell,en eng,eo epo,es spa,
et est ekk,eu eus,fa fas pes,fi fin,fo fao,fr fra,fy fry,ga gle,gd gla,gl glg,gn grn gug,gu guj,
gv glv,ha hau,he heb,hi hin,hr hrv,ht hat,hu hun,hy hye,ia ina,id ind,ie ile,ig ibo,io ido,is isl,
it ita,ja jpn,jv jav,ka kat,kk kaz,km khm,kn kan,ko kor,ku kur kmr,kv kom kpv,kw cor,ky kir,la lat,
lb ltz,li lim,ln lin,lo lao,lt lit,lv lav lvs,mg mlg plt,mk mkd,ml mal,mn mon khk,mr mar,
ms msa zsm,mt mlt,my mya,ne nep npi,nl nld,nn nno,no nor nob,oc oci,om orm gaz,or ori ory,os oss,
pa pan,pl pol,ps pus pbt,pt por,qu que quy,rm roh,ro ron,ru rus,rw kin,sa san,sc srd,sd snd,sh hbs,
si sin,sk slk,sl slv,so som,sq sqi als,sr srp,su sun,sv swe,sw swa swh,ta tam,te tel,tg tgk,th tha,
ti tir,tk tuk,tl tgl,tr tur,tt tat,ug uig,uk ukr,ur urd,uz uzb uzn,vi vie,vo vol,wa wln,wo wol,
xh xho,yi yid ydd,yo yor,zh zho cmn,zu zul
"""
FORMS = [entry.split() for entry in _CODES.replace("\n", "").split(",")]

# The labels of lid.176 that are written in a script; the first stands where none of them is found.
WRITTEN_IN = {
    "Grek": "el",
    "Cyrl": "ru uk bg sr mk be kk ky mn tg tt ba cv ce os kv av bxr mhr mrj myv rue sah krc xal "
    "sh bs tk az ab lez tyv dv",
    "Armn": "hy",
    "Hebr": "he yi",
    "Arab": "ar fa ur ckb ug sd ps arz azb pnb mzn lrc ku uz ms az",
    "Deva": "hi mr ne sa bh mai new gom dty",
    "Beng": "bn as bpy",
    "Guru": "pa",
    "Gujr": "gu",
    "Orya": "or",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Thai": "th",
    "Laoo": "lo",
    "Tibt": "bo dz",
    "Mymr": "my",
    "Geor": "ka xmf",
    "Ethi": "am ti",
    "Khmr": "km",
    "Hang": "ko",
    "Hani": "zh yue wuu ja",
    "Jpan": "ja",
}
LABELS = {script: frozenset(codes.split()) for script, codes in WRITTEN_IN.items()}
FIRST = {script: codes.split()[0] for script, codes in WRITTEN_IN.items()}


def spellings(code: str) -> tuple[str, ...]:
    """Return a code and the others that models have for the same language."""
    same = next((forms for forms in FORMS if code in forms), [code])
    return tuple(dict.fromkeys((code, *same)))
