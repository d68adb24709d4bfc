"""Scoring a hypothesis file against a Kaldi data directory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.scoring.equivalences import Equivalences, read_equivalences
from espnet_otreg.scoring.error_rate import ErrorCounts, count_errors, pool
from espnet_otreg.scoring.mixed import mixes_scripts, split_mixed
from espnet_otreg.scoring.normalize import (
    SCORING_SCHEME,
    SPACELESS_LANGUAGES,
    normalize,
    normalizer_version,
    split_characters,
    split_words,
    unaccent,
)
from espnet_otreg.scoring.quality import count_quality
from espnet_otreg.scoring.references import (
    DEFAULT_IN_DOMAIN,
    check_beside,
    check_hypotheses,
    check_in_domain,
    domains_beside,
    read_references,
)
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


class _Prepare:
    """Texts as they are compared, with the counts of a user's equivalences on either side."""

    def __init__(self, scheme: str, equivalences: Equivalences | None) -> None:
        self.scheme, self.equivalences = scheme, equivalences
        self.counts: dict[str, dict[str, Counter[str]]] = {}

    def __call__(self, texts: Mapping[str, str], language: str, side: str) -> dict[str, str]:
        """The texts of one language, of ``side`` reference or hypothesis."""
        if self.equivalences is None:
            return {key: normalize(text, language, self.scheme) for key, text in texts.items()}
        rules = self.equivalences.rules(language, self.scheme)
        prepared = {}
        for key, text in texts.items():
            prepared[key], used = rules(text)
            for entry, count in used.items():
                sides = self.counts.setdefault(language, {}).setdefault(entry, Counter())
                sides[side] += count
        return prepared

    def record(self) -> dict[str, Any] | None:
        """What the score file says of the equivalences: file, sha256, uses of every entry."""
        if self.equivalences is None:
            return None
        uses = {
            language: {
                entry: {side: sides[side] for side in ("reference", "hypothesis")}
                for entry, sides in entries.items()
            }
            for language, entries in self.counts.items()
        }
        file, digest = self.equivalences.file, self.equivalences.sha256
        return {"file": file, "sha256": digest, "uses": uses}


def score_directory(
    reference_dir: str | Path,
    hypothesis: str | Path,
    scheme: str = SCORING_SCHEME,
    in_domain: Sequence[str] | None = None,
    equivalences: str | Path | None = None,
    beside: Sequence[str] = (),
) -> Score:
    """Score a hypothesis file against a Kaldi data directory.

    An empty hypothesis is all deletions; an empty reference is left out and counted.

    Args:
        reference_dir: has ``text`` and ``utt2lang``, and perhaps ``utt2spk`` and ``utt2domain``
            (without it the domain is the name of the directory).
        hypothesis: Kaldi ``text``, one line for every id of the references.
        scheme: the normaliser, for both sides.
        in_domain: the domains that are in-domain, each of this directory or of a test set beside
            it; ``core_sounds`` if None.
        equivalences: a file of equivalent spellings and of words and marks to ignore; see
            :mod:`espnet_otreg.scoring.equivalences`.
        beside: domains that stand beside the out-of-domain sets and count in no mean of theirs.

    Raises:
        UserError: if a hypothesis is missing or has no reference, naming it, if a file is
            malformed, or if a name of ``in_domain`` is that of no test set.
    """
    directory, path = Path(reference_dir), Path(hypothesis)
    known = None if equivalences is None else read_equivalences(equivalences, scheme)
    normalize("", "en", scheme)  # an unknown scheme ends here
    test_set = read_references(directory)
    references, domains = test_set.texts, test_set.domains
    hypotheses = read_table(path)
    check_hypotheses(references, hypotheses, path)
    if in_domain is not None and not set(in_domain) <= set(domains.values()):
        check_in_domain(in_domain, set(domains.values()), domains_beside(directory))
    chosen = DEFAULT_IN_DOMAIN if in_domain is None else in_domain
    check_beside(beside, chosen)
    keys_of_set: dict[tuple[str, str], list[str]] = {}
    for key in sorted(references):
        keys_of_set.setdefault((test_set.languages[key], domains[key]), []).append(key)
    prepare = _Prepare(scheme, known)
    sets, utterances = [], []
    for (language, domain), keys in sorted(keys_of_set.items()):
        scored = _score_utterances(
            prepare({key: references[key] for key in keys}, language, "reference"),
            prepare({key: hypotheses[key] for key in keys}, language, "hypothesis"),
            test_set.speakers,
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
        sets.append(_pool_set(scored, group_of(domain, chosen, beside), len(keys) - len(scored)))
    return Score(
        normalizer_version(scheme),
        fingerprint(references, test_set.languages, domains),
        tuple(sets),
        tuple(utterances),
        prepare.record(),
        _trained_without(path),
    )


def _trained_without(hypothesis: Path) -> str | None:
    """What ``status.json`` of slm_decode says beside the hypotheses, if it is there."""
    status = hypothesis.with_name("status.json")
    found = read_json(status).get("trained_without") if status.is_file() else None
    return None if found is None else str(found)


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

    def units(texts: Mapping[str, str]) -> list[list[str]]:
        return [split_mixed(texts[key], language) for key in keys]

    character = count_errors(characters(references), characters(hypotheses))
    word = character
    mixed = count_errors(units(references), units(hypotheses))
    unaccented: Sequence[ErrorCounts | None] = [None] * len(keys)
    if canonical_language(language) not in SPACELESS_LANGUAGES:
        word = count_errors(words(references), words(hypotheses))
    if canonical_language(language) in ACCENTS_OPTIONAL:
        plain = [{key: unaccent(texts[key]) for key in keys} for texts in (references, hypotheses)]
        unaccented = count_errors(words(plain[0]), words(plain[1]))
    return [
        ScoredUtterance(
            key, language, domain, speakers[key], references[key], hypotheses[key], w, c, m, u
        )
        for key, w, c, m, u in zip(keys, word, character, mixed, unaccented, strict=True)
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
        mer=pool(u.mixed for u in utterances),
        mixed_references=sum(mixes_scripts(u.reference, u.language) for u in utterances),
        wer_unaccented=pool(unaccented) if unaccented else None,
        quality=count_quality(
            [u.reference for u in utterances], [u.hypothesis for u in utterances]
        ),
    )


def known_speakers(utterances: Sequence[ScoredUtterance]) -> set[str]:
    """The speakers; an utterance that is its own speaker has an unknown one."""
    return {u.speaker for u in utterances if u.speaker != u.utterance_id}
