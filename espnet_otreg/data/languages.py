"""One name for every language: ISO 639-1 where it has a code, else ISO 639-3.

Tables, configurations and options may name a language by a BCP 47 tag, a POSIX locale, any code of
ISO 639 or a name; what is compared, trained and scored is the one code that
:func:`canonical_language` makes of it. The tables behind it are those of IANA's registry of
language subtags and of Unicode's CLDR, as the packages langcodes and language_data hold them.
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError

AUTO = "auto"  # asks for language identification where a language is expected
DEFAULT = "default"  # stands where no language is given

_EXAMPLE = "give a code of ISO 639 or an English name, for instance 'it' or 'Italian'"
_CODE = re.compile("[a-z]{2,3}")
# What stands for "no language", "several" and "not known" in ISO 639-2 and in tables.
_NO_LANGUAGE = frozenset("und mul zxx mis root default auto none null unknown".split())
# CLDR calls Tagalog Filipino (fil); ISO 639-1 has a code for the first of the two names.
_TAGALOG = {"fil": "tl"}


def canonical_language(name: str) -> str:
    """The code of a language, however it is named.

    A region, a script and everything else that a tag says beyond the language is dropped. The
    variety that stands for its macrolanguage gets the latter's code (``cmn`` is ``zh``); others
    keep their own (``yue``). A code comes before a name: ``ga`` is Irish, not the language Ga.

    Args:
        name: a BCP 47 tag (``zh-CN``), a POSIX locale (``it_IT.UTF-8``), a code of a corpus
            (``cmn_hans_cn``), of ISO 639-1, -2 or -3 (``it``, ``ger``, ``deu``), also one that was
            replaced (``iw``), an English name in any case, or the language's name for itself.

    Raises:
        UserError: if it is no language, with a hint at what is likely to be meant.

    >>> [canonical_language(name) for name in ("IT", "pt_br", "zh-Hant-TW", "ger", "iw", "cmn")]
    ['it', 'pt', 'zh', 'de', 'he', 'zh']
    >>> [canonical_language(name) for name in ("haitian creole", "Deutsch", "yue_hant_hk", "ast")]
    ['ht', 'de', 'yue', 'ast']
    >>> canonical_language("Itallian")
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: unknown language 'Itallian'; did you mean Italian (it)?
    """
    if not isinstance(name, str):
        raise UserError(f"expected the name of a language, found {name!r}", "", _EXAMPLE)
    return _canonical(unicodedata.normalize("NFC", name).strip())


def language_or_default(name: str) -> str:
    """The code of a language, or ``default`` where none is given.

    Raises:
        UserError: as :func:`canonical_language`.

    >>> language_or_default("IT"), language_or_default("default")
    ('it', 'default')
    """
    return name if name == DEFAULT else canonical_language(name)


@functools.lru_cache(maxsize=10_000)
def _canonical(name: str) -> str:
    if not name:
        raise UserError("the language is empty", "", _EXAMPLE)
    shown = f"{name[:40]!r}"
    if not name.isprintable():
        raise UserError(f"unknown language {shown}", "", _EXAMPLE)
    if re.split("[-_.@]", name)[0].lower() in _NO_LANGUAGE:
        raise UserError(f"{shown} is no language", "", _EXAMPLE)
    code = _from_tag(name) or _from_name(name)
    if code is None:
        raise UserError(f"unknown language {shown}", "", _hint(name))
    return code


def _from_tag(name: str) -> str | None:
    """The language of a tag or locale; None if it is none."""
    import langcodes

    tag = re.split("[.@]", name)[0]  # "it_IT.UTF-8@euro"
    try:
        language = langcodes.Language.get(tag).language
    except ValueError:  # not of the form of a tag
        return None
    if language is None or not _CODE.fullmatch(language):  # "x-own" is private to somebody
        return None
    if not langcodes.Language.make(language=language).is_valid():
        return None
    whole = langcodes.Language.make(language=language).prefer_macrolanguage().language
    if len(language) == 3 and whole is not None and len(whole) == 2:
        language = whole
    return _TAGALOG.get(language, language)


def _from_name(name: str) -> str | None:
    """The language that is called so in English or in itself; None if there is none."""
    name = name.replace("_", " ")
    if name.isascii() and sum(map(str.isalpha, name)) < 3:  # there are languages named A, E and U
        return None
    english = _listed(name, "language", "en")
    if english is not None:
        return _from_tag(english)
    somewhere = _listed(name, "language", "und")
    if somewhere is None:
        return None
    own = _from_tag(somewhere)
    # A name in a third language may mean another one elsewhere: "fala" is French in Kwasio.
    return own if own is not None and _listed(name, "language", own) is not None else None


def _listed(name: str, kind: str, language: str) -> str | None:
    """The tag of a language or territory by its whole name in some language (``und``: in any)."""
    from language_data import names

    try:
        # It takes a part of the name, too: "Germany" would be German.
        tag = names.name_to_code(kind, name, language)
    except OSError:  # no names are known in that language
        return None
    exact = names.normalize_name(name) in names.TRIES[f"{language}/name_to_{kind}"]
    return str(tag) if tag is not None and exact else None


@functools.cache
def _registry() -> tuple[dict[str, list[str]], frozenset[str]]:
    """Language -> English names without what stands in brackets, best-known last; the countries."""
    from langcodes.registry_parser import parse_registry

    languages: dict[str, list[str]] = {}
    countries: set[str] = set()
    for entry in parse_registry():
        family = entry.get("Scope") == "collection"
        if entry.get("Type") == "language" and "Deprecated" not in entry and not family:
            names = [re.sub(r" \(.*\)$", "", name) for name in entry["Description"]]
            languages[entry["Subtag"]] = names
        elif entry.get("Type") == "region":
            countries.add(entry["Subtag"])
    ordered = sorted(languages.items(), key=lambda item: -len(item[0]))
    return dict(ordered), frozenset(countries)


def describe_language(code: str) -> str:
    """Name and code of a canonical language, as messages say it.

    >>> describe_language("it"), describe_language("yue")
    ('Italian (it)', 'Yue Chinese (yue)')
    """
    names = _registry()[0].get(code)
    return f"{names[0]} ({code})" if names else code


def describe_languages(codes: Iterable[str]) -> str:
    """Several of them, in the order of their codes.

    >>> describe_languages(["it", "en"])
    'English (en), Italian (it)'
    """
    return ", ".join(map(describe_language, sorted(codes)))


def same_language(code: str, known: Iterable[str]) -> str | None:
    """The one of several canonical languages that a code stands for, if any.

    Beside the code itself that is what CLDR holds for the same: Whisper says Norwegian (``no``)
    where a corpus says Bokmål (``nb``).

    >>> same_language("no", ["da", "nb", "nn"]), same_language("hr", ["sr"])
    ('nb', None)
    """
    known = sorted(known)
    if code in known:
        return code
    import langcodes

    near = [own for own in known if langcodes.tag_distance(code, own) <= 1]
    return near[0] if near else None


def _hint(name: str) -> str:
    """A hint with the language that an unknown ``name`` may stand for."""
    country = _country(name)
    if country is not None:
        return f"that is a country, did you mean {describe_language(country)}?"
    written = name.casefold().split("(")[0].strip()
    codes = {listed.casefold(): code for code, names in _registry()[0].items() for listed in names}
    well_known = [listed for listed, code in codes.items() if len(code) == 2]
    near = difflib.get_close_matches(written, well_known, n=1, cutoff=0.8)
    near = near or difflib.get_close_matches(written, codes, n=1, cutoff=0.88)
    if near and len(written) > 3:
        return f"did you mean {describe_language(codes[near[0]])}?"
    return _EXAMPLE


def _country(name: str) -> str | None:
    """The language that most people of a country speak, if ``name`` is one: ``jp``, Germany."""
    import langcodes

    first = re.split("[-_.@]", name)[0].upper()
    code = first if first in _registry()[1] else _listed(name, "territory", "en")
    if code is None:
        return None
    return _from_tag(langcodes.Language.get(f"und-{code}").maximize().language or "und")


def canonical_languages(table: Mapping[str, str], path: str | Path) -> dict[str, str]:
    """The rows of a ``utt2lang`` with canonical codes.

    Args:
        table: utterance -> language.
        path: of the table, for messages.

    Raises:
        UserError: if a row names what is no language, naming the utterance.

    >>> canonical_languages({"a": "it_IT", "b": "eng"}, "data/train/utt2lang")
    {'a': 'it', 'b': 'en'}
    """
    languages = {}
    for key, value in table.items():
        try:
            languages[key] = canonical_language(value)
        except UserError as error:
            raise UserError(error.what, f"{path}: utterance '{key}'", error.mend) from None
    return languages


def read_languages(path: str | Path) -> dict[str, str]:
    """The table ``utt2lang`` with canonical codes.

    Raises:
        UserError: if the table is malformed, or as :func:`canonical_languages`.
    """
    return canonical_languages(read_table(path), path)
