"""The test set that hypotheses are scored against: texts, languages, domains, speakers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.config import did_you_mean
from espnet_otreg.data.kaldi_dir import own_domain, read_table, scan_table
from espnet_otreg.data.languages import canonical_languages
from espnet_otreg.errors import UserError

DEFAULT_IN_DOMAIN = ("core_sounds",)  # where the user names no set: that of the recipe mini_multi
_NO_TEST_SET = re.compile("train|dev|valid", re.IGNORECASE)


@dataclass(frozen=True)
class References:
    """The tables of a test set, all with the same ids."""

    texts: dict[str, str]
    languages: dict[str, str]
    domains: dict[str, str]
    speakers: dict[str, str]


def _companion(directory: Path, name: str, keys: Collection[str]) -> dict[str, str]:
    table = read_table(directory / name)
    if table.keys() != set(keys):
        odd = min(table.keys() ^ set(keys))
        raise UserError(
            f"'{odd}' is in only one of text and {name}", str(directory), "make it again"
        )
    for key, value in table.items():
        if not value:
            raise UserError(f"nothing is said of '{key}'", str(directory / name), "write one word")
    return table


def read_domains(directory: str | Path, keys: Collection[str]) -> dict[str, str]:
    """The domain of every utterance: ``utt2domain`` or, without it, the directory's name.

    Raises:
        UserError: if the table is malformed or has other ids.
    """
    directory = Path(directory)
    if (directory / "utt2domain").is_file():
        return _companion(directory, "utt2domain", keys)
    return dict.fromkeys(keys, own_domain(directory))


def read_references(directory: str | Path) -> References:
    """The tables of a test set.

    ``text`` and ``utt2lang`` are required. Without ``utt2spk`` every utterance is its own speaker,
    which means that they are unknown.

    Raises:
        UserError: if a table is missing, malformed or has other ids, or there is no utterance.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError("no such directory", str(directory), "give a data directory")
    for name in ("text", "utt2lang"):
        if not (directory / name).is_file():
            raise UserError(
                f"there is no {name}",
                str(directory),
                "give a data directory with text and utt2lang",
            )
    texts = read_table(directory / "text")
    if not texts:
        raise UserError("no reference", str(directory / "text"), "make the directory again")
    speakers = dict(zip(texts, texts, strict=True))
    if (directory / "utt2spk").is_file():
        speakers = _companion(directory, "utt2spk", texts)
    return References(
        texts,
        canonical_languages(_companion(directory, "utt2lang", texts), directory / "utt2lang"),
        read_domains(directory, texts),
        speakers,
    )


def check_hypotheses(
    references: Mapping[str, str], hypotheses: Mapping[str, str], path: str | Path
) -> None:
    """Check that hypotheses are those of the references.

    Raises:
        UserError: if a hypothesis is missing or has no reference, naming it.
    """
    missing, extra = references.keys() - hypotheses.keys(), hypotheses.keys() - references.keys()
    if len(missing) == len(references) and extra:
        raise UserError(
            f"none of its ids has a reference, such as '{min(extra)}'; the references have "
            f"'{min(missing)}'",
            str(path),
            "score against the directory that was decoded",
        )
    for what, ids, mend in (
        (
            "no hypothesis for",
            missing,
            "decode them, or write the id alone on a line if nothing was recognised",
        ),
        (
            "no reference for the hypothesis",
            extra,
            "score against the directory that was decoded",
        ),
    ):
        if ids:
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            raise UserError(f"{what} '{min(ids)}'{more}", str(path), mend)


def domains_beside(directory: str | Path) -> set[str]:
    """The domains of the test sets beside a data directory: not of train*, dev* and valid*."""
    found: set[str] = set()
    here = Path(os.path.abspath(directory))
    for other in sorted(here.parent.iterdir()):
        if other == here or _NO_TEST_SET.match(other.name) or not (other / "text").is_file():
            continue
        table = other / "utt2domain"
        found |= (
            {row.value for row in scan_table(table)[0]} if table.is_file() else {own_domain(other)}
        )
    return found


def check_domains(
    in_domain: Sequence[str], directories: Sequence[str | Path], beside: Sequence[str] = ()
) -> None:
    """Check what a recipe says of its test sets before it trains.

    Args:
        in_domain: names of domains.
        directories: all test sets.
        beside: names of the domains that stand beside the others.

    Raises:
        UserError: as :func:`check_in_domain`, of both, or if a table is malformed.
    """
    check_beside(beside, in_domain)
    domains: set[str] = set()
    for directory in map(Path, directories):
        domains |= set(read_domains(directory, read_table(directory / "text")).values())
    check_in_domain(in_domain, domains)
    check_in_domain(beside, domains, option="--beside")


def check_beside(beside: Sequence[str], in_domain: Sequence[str]) -> None:
    """Check that no set stands both in the mean in-domain and beside the others.

    Raises:
        UserError: with the first that does.

    >>> check_beside(["prompts"], ["prompts"])
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: --beside prompts: this set is in-domain, too; name it once
    """
    for name in beside:
        if name in in_domain:
            raise UserError("this set is in-domain, too", f"--beside {name}", "name it once")


def check_in_domain(
    in_domain: Sequence[str],
    domains: Collection[str],
    beside: Collection[str] = (),
    option: str = "--in_domain",
) -> None:
    """Check that every in-domain set is one of the test sets, so that no mean loses it.

    Args:
        in_domain: names of domains; none at all is fine.
        domains: of the test sets that are scored.
        beside: of other test sets of the same data.
        option: by which the names were given, for messages.

    Raises:
        UserError: with the first name that is none of them, and with all that there are.

    >>> check_in_domain(["tset"], ["ood", "test"])
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: --in_domain tset: no test set has this name; did you mean \
'test'? (known: ood, test)
    """
    if isinstance(in_domain, str):
        raise UserError(f"expected a list of names, found '{in_domain}'", option)
    for name in in_domain:
        if name not in domains and name not in beside:
            known = sorted({*domains, *beside})
            hint = did_you_mean(str(name), known)
            if hint.startswith("did you mean"):
                hint += f" (known: {', '.join(known)})"
            raise UserError("no test set has this name", f"{option} {name}", hint)
