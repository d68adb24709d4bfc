"""The voices that training speech can be made with: language, licence, and what to install."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from espnet_otreg.config import did_you_mean

# eSpeak NG's own voices of a language, by ISO 639-1 code. Others of its hundred are added here.
_ESPEAK = {
    "bg": "bg", "ca": "ca", "cs": "cs", "da": "da", "de": "de", "el": "el",
    "en": "en en-us en-gb-scotland en-gb-x-rp", "es": "es es-419", "et": "et", "fi": "fi",
    "fr": "fr fr-be fr-ch", "hr": "hr", "hu": "hu", "it": "it", "lt": "lt", "lv": "lv",
    "nl": "nl", "pl": "pl", "pt": "pt pt-br", "ro": "ro", "ru": "ru", "sk": "sk", "sl": "sl",
    "sv": "sv", "tr": "tr", "uk": "uk",
}  # fmt: skip
# Other throats for any of them: VOICE+VARIANT. Those that sound like no human are left out.
ESPEAK_VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt4 Alex Andy Annie Gene Lee Mario "
    "Michael linda max steph"
).split()
_PICO = {"en": "en-US en-GB", "es": "es-ES", "fr": "fr-FR", "it": "it-IT", "de": "de-DE"}
_FLITE = {"en": "slt awb rms kal16"}
_FESTIVAL = {
    "festvox-us-slt-hts": ("en", "cmu_us_slt_arctic_hts", "BSD-3-Clause: Carnegie Mellon"),
    "festvox-kallpc16k": ("en", "kal_diphone", "Festival's, as BSD: University of Edinburgh"),
    "festvox-italp16k": ("it", "lp_diphone", "GPL-2: ISTC-SPFD CNR Padova"),
    "festvox-itapc16k": ("it", "pc_diphone", "GPL-2: ISTC-SPFD CNR Padova"),
}
# Debian's packages hold more voices; these are the ones whose licence lets their speech be used.
_RHVOICE = {"en": "alan bdl clb slt", "ru": "aleksandr anna elena irina"}
_MBROLA = {
    "en": "us1 us2 us3 en1", "es": "es1 es2 es3 es4 mx1 mx2 vz1",
    "fr": "fr1 fr2 fr3 fr4 fr5 fr6 fr7 ca1 ca2", "it": "it1 it2 it3 it4",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Voice:
    """A synthetic voice.

    Attributes:
        engine: the program that speaks, for instance ``pico``.
        name: as that program calls it; of eSpeak without a variant.
        language: ISO 639-1 code.
        licence: and whom to name.
        install: what to type where it is missing.
        restricted: its terms have to be accepted (``accept_licence``).
    """

    engine: str
    name: str
    language: str
    licence: str
    install: str
    restricted: bool = False


def _each(engine: str, names: dict[str, str], licence: str, install: str) -> Iterator[Voice]:
    for language, listed in names.items():
        for name in listed.split():
            yield Voice(
                engine, name, language, licence, install.format(name=name, language=language)
            )


def _all_voices() -> Iterator[Voice]:
    yield from _each("pico", _PICO, "Apache-2.0: SVOX AG", "pip install py-nanotts")
    yield from _each(
        "espeak",
        _ESPEAK,
        "GPL-3.0-or-later: Jonathan Duddington, Reece H. Dunn and contributors",
        "pip install espeakng-loader",
    )
    yield from _each("flite", _FLITE, "as BSD: Carnegie Mellon University", "apt install flite")
    for package, (language, name, licence) in _FESTIVAL.items():
        yield Voice("festival", name, language, licence, f"apt install festival {package}")
    names = {"en": "english", "ru": "russian"}
    for language, listed in _RHVOICE.items():
        install = f"apt install rhvoice rhvoice-{names[language]} (Debian's section non-free)"
        licence = "LGPL-2.1-or-later: Olga Yakovleva and others"
        yield from _each("rhvoice", {language: listed}, licence, install)
    for voice in _each(
        "mbrola",
        _MBROLA,
        "MBROLA's: no commercial or military use, no sale (/usr/share/doc/mbrola-*/copyright)",
        "apt install espeak-ng mbrola mbrola-{name} (Debian's sections contrib and non-free)",
    ):
        yield dataclasses.replace(voice, restricted=True)


VOICES: dict[tuple[str, str], Voice] = {(v.engine, v.name): v for v in _all_voices()}
ENGINES = tuple(dict.fromkeys(engine for engine, _ in VOICES))


def base_name(name: str) -> str:
    """A voice without its variant.

    >>> base_name("en-us+f2"), base_name("slt")
    ('en-us', 'slt')
    """
    return name.partition("+")[0]


def voices_of(engine: str, language: str) -> list[Voice]:
    """All voices that an engine has for a language.

    >>> [voice.name for voice in voices_of("festival", "it")]
    ['lp_diphone', 'pc_diphone']
    """
    return [v for v in VOICES.values() if (v.engine, v.language) == (engine, language)]


def voice_errors(engine: str, names: Iterable[str], language: str) -> list[str]:
    """One sentence for each name that is no voice of that engine in that language.

    >>> voice_errors("flite", ["slt", "rsm"], "en")
    ["no voice 'rsm' of flite for en; did you mean 'rms'?"]
    >>> voice_errors("rhvoice", ["anna"], "fr")
    ["no voice 'anna' of rhvoice for fr; known: none"]
    """
    known = [voice.name for voice in voices_of(engine, language)]
    return [
        f"no voice {name!r} of {engine} for {language}; {did_you_mean(name, known)}"
        for name in names
        if name not in known
    ]


def licences(voices: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each engine and licence: its voices, and whom to name.

    >>> licences([("festival", "lp_diphone"), ("espeak", "it+f1"), ("festival", "pc_diphone")])[0]
    'festival lp_diphone pc_diphone: GPL-2: ISTC-SPFD CNR Padova'
    """
    names: dict[tuple[str, str], list[str]] = {}
    for engine, name in voices:
        base = base_name(name)
        listed = names.setdefault((engine, VOICES[engine, base].licence), [])
        if base not in listed:
            listed.append(base)
    return [f"{engine} {' '.join(n)}: {licence}" for (engine, licence), n in names.items()]
