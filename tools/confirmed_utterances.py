#!/usr/bin/env python3
"""List the utterances whose text several recognisers hear in the recording.

For recordings whose transcripts are only likely, as those of another speaker under the same names.
Decode them with recognisers that are not alike, for instance whisper_baseline and slm_decode, and
read the list with prepare_corpus --keep. An utterance is listed if the recogniser that agrees best
with its text has a character error rate of at most --close, and every other one of at most --far:
one of them may be weak, and none may hear other words. At a --close of 20 recordings were listed in
which one word was another. The list flatters the recognisers that made it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# So that the tool also works from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError, run_main
from espnet_otreg.files import atomic_write
from espnet_otreg.scoring.error_rate import count_errors
from espnet_otreg.scoring.normalize import normalize
from espnet_otreg.scoring.spelling import spell_numbers


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", type=Path, required=True, help="with text and utt2lang")
    parser.add_argument(
        "--hypothesis", nargs="+", metavar="NAME=FILE", required=True,
        help="a recogniser's name, for the head of the list, and its Kaldi text",
    )  # fmt: skip
    parser.add_argument("--close", type=float, default=10.0, help="percent, of the best one")
    parser.add_argument("--far", type=float, default=60.0, help="percent, of every other one")
    parser.add_argument("--output", type=Path, required=True, help="the list to write")
    return parser


def _letters(hypothesis: str, language: str) -> list[str]:
    """What a recogniser heard, its digits spelled out as the references are."""
    return list(normalize(spell_numbers(hypothesis, language), language))


def main() -> None:
    """Compare, write, and print what was kept."""
    args = get_parser().parse_args()
    references = read_table(args.data_dir / "text")
    languages = read_table(args.data_dir / "utt2lang")
    rates: dict[str, list[float]] = {key: [] for key in references}
    names = []
    for given in args.hypothesis:
        name, equals, path = given.partition("=")
        if not equals:
            raise UserError("expected NAME=FILE", f"--hypothesis {given}")
        names.append(name)
        hypotheses = read_table(path)
        if missing := sorted(references.keys() - hypotheses.keys()):
            raise UserError(f"there is no utterance '{missing[0]}'", path, "decode all of them")
        heard = [_letters(hypotheses[key], languages[key]) for key in references]
        errors = count_errors(list(map(list, references.values())), heard)
        for key, counts in zip(references, errors, strict=True):
            rates[key].append(counts.rate)
    kept = [
        key for key, own in sorted(rates.items()) if min(own) <= args.close and max(own) <= args.far
    ]
    if not kept:
        raise UserError(
            "no utterance is confirmed", str(args.data_dir), "look at --close and --far"
        )
    head = (
        f"# {len(kept)} of {len(references)} utterances, confirmed by {' and '.join(names)}: best "
        f"character error rate at most {args.close:g} %, every one at most {args.far:g} %.\n"
        "# Made by tools/confirmed_utterances.py.\n"
    )
    with atomic_write(args.output) as file:
        file.write(head + "".join(f"{key}\n" for key in kept))
    print(f"{args.output}: {len(kept)} of {len(references)} utterances")


if __name__ == "__main__":
    run_main(main)
