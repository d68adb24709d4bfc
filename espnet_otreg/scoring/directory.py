"""Scoring a hypothesis file against a Kaldi data directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.languages import canonical_language, canonical_languages
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.error_rate import ErrorCounts, count_errors, pool
from espnet_otreg.scoring.normalize import (
    DEFAULT_SCHEME,
    SPACELESS_LANGUAGES,
    normalize,
    normalizer_version,
    split_characters,
    split_words,
    unaccent,
)
from espnet_otreg.scoring.quality import count_quality
from espnet_otreg.scoring.score import Score, ScoredUtterance, SetScore, group_of

ACCENTS_OPTIONAL = frozenset({"es"})  # much Spanish text is typed without its accents


def fingerprint(*tables: Mapping[str, str]) -> str:
    """sha256 over the sorted ids, each with the sha256 of what the tables say of it.

    The tables of a test set are ``text``, ``utt2lang`` and ``utt2domain``; scores are compared
    only if their fingerprints are equal.

    >>> fingerprint({"a": "one"}) == fingerprint({"a": "two"})
    False
    """
    whole = hashlib.sha256()
    for key in sorted(tables[0]):
        values = [hashlib.sha256(table[key].encode()).hexdigest() for table in tables]
        whole.update(f"{key} {' '.join(values)}\n".encode())
    return whole.hexdigest()


def _check_keys(references: Mapping[str, str], hypotheses: Mapping[str, str], path: Path) -> None:
    missing, extra = references.keys() - hypotheses.keys(), hypotheses.keys() - references.keys()
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"no hypothesis for '{min(missing)}'{more}",
            str(path),
            "decode them, or write the id alone on a line if nothing was recognised",
        )
    if extra:
        more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        raise UserError(
            f"no reference for the hypothesis '{min(extra)}'{more}",
            str(path),
            "score against the directory that was decoded",
        )


def _read_companion(directory: Path, name: str, references: Mapping[str, str]) -> dict[str, str]:
    table = read_table(directory / name)
    if table.keys() != references.keys():
        odd = min(table.keys() ^ references.keys())
        raise UserError(
            f"'{odd}' is in only one of text and {name}", str(directory), "make it again"
        )
    return table


def score_directory(
    reference_dir: str | Path,
    hypothesis: str | Path,
    scheme: str = DEFAULT_SCHEME,
    in_domain: Sequence[str] = ("core_sounds",),
) -> Score:
    """Score a hypothesis file against a Kaldi data directory.

    An empty hypothesis is all deletions; an empty reference is left out and counted.

    Args:
        reference_dir: has ``text``, ``utt2lang``, ``utt2spk`` and ``utt2domain``.
        hypothesis: Kaldi ``text``, one line for every id of the references.
        scheme: the normaliser, for both sides.
        in_domain: the domains that are in-domain.

    Raises:
        UserError: if a hypothesis is missing or has no reference, naming it, or if a file is
            malformed.
    """
    directory, path = Path(reference_dir), Path(hypothesis)
    references, hypotheses = read_table(directory / "text"), read_table(path)
    languages = canonical_languages(
        _read_companion(directory, "utt2lang", references), directory / "utt2lang"
    )
    domains = _read_companion(directory, "utt2domain", references)
    speakers = _read_companion(directory, "utt2spk", references)
    if not references:
        raise UserError("no reference", str(directory / "text"), "make the directory again")
    _check_keys(references, hypotheses, path)
    keys_of_set: dict[tuple[str, str], list[str]] = {}
    for key in sorted(references):
        keys_of_set.setdefault((languages[key], domains[key]), []).append(key)
    sets, utterances = [], []
    for (language, domain), keys in sorted(keys_of_set.items()):
        scored = _score_utterances(
            {key: normalize(references[key], language, scheme) for key in keys},
            {key: normalize(hypotheses[key], language, scheme) for key in keys},
            speakers,
            language,
            domain,
        )
        if not scored:
            raise UserError(
                f"every reference of '{domain}' ({language}) is empty once normalised",
                str(directory / "text"),
                "leave that set out",
            )
        utterances += scored
        empty = len(keys) - len(scored)
        sets.append(_pool_set(scored, group_of(domain, in_domain), empty))
    return Score(
        normalizer_version(scheme),
        fingerprint(references, languages, domains),
        tuple(sets),
        tuple(utterances),
    )


def _score_utterances(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    speakers: Mapping[str, str],
    language: str,
    domain: str,
) -> list[ScoredUtterance]:
    """The utterances of one set whose reference has a word, texts normalised."""
    keys = [key for key in references if references[key]]

    def characters(texts: Mapping[str, str]) -> list[list[str]]:
        return [split_characters(texts[key], language) for key in keys]

    def words(texts: Mapping[str, str]) -> list[list[str]]:
        return [split_words(texts[key], language) for key in keys]

    character = count_errors(characters(references), characters(hypotheses))
    word = character
    unaccented: Sequence[ErrorCounts | None] = [None] * len(keys)
    if canonical_language(language) not in SPACELESS_LANGUAGES:
        word = count_errors(words(references), words(hypotheses))
    if canonical_language(language) in ACCENTS_OPTIONAL:
        plain = [{key: unaccent(texts[key]) for key in keys} for texts in (references, hypotheses)]
        unaccented = count_errors(words(plain[0]), words(plain[1]))
    return [
        ScoredUtterance(
            key, language, domain, speakers[key], references[key], hypotheses[key], w, c, u
        )
        for key, w, c, u in zip(keys, word, character, unaccented, strict=True)
    ]


def _pool_set(utterances: list[ScoredUtterance], group: str, empty_references: int) -> SetScore:
    first = utterances[0]
    spaceless = canonical_language(first.language) in SPACELESS_LANGUAGES
    unaccented = [u.word_unaccented for u in utterances if u.word_unaccented is not None]
    return SetScore(
        language=first.language,
        domain=first.domain,
        group=group,
        unit="character" if spaceless else "word",
        utterances=len(utterances),
        empty_references=empty_references,
        speakers=len(known_speakers(utterances)),
        wer=pool(u.word for u in utterances),
        cer=pool(u.character for u in utterances),
        wer_unaccented=pool(unaccented) if unaccented else None,
        quality=count_quality(
            [u.reference for u in utterances], [u.hypothesis for u in utterances]
        ),
    )


def known_speakers(utterances: Sequence[ScoredUtterance]) -> set[str]:
    """The speakers; an utterance that is its own speaker says that nobody knows them."""
    return {u.speaker for u in utterances if u.speaker != u.utterance_id}
