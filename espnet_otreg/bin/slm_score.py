"""Score a hypothesis file: python -m espnet_otreg.bin.slm_score --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.scoring.normalize import DEFAULT_SCHEME, SCHEMES


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Score a hypothesis file against a Kaldi data directory: errors pooled within "
        "(language, test set), macro and micro means over languages, quality counts. Writes the "
        "score file, and score_wer and score_cer (ref.trn, hyp.trn, result.txt) beside it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--reference_dir",
        type=Path,
        required=True,
        help="data directory with text, utt2lang, utt2spk and utt2domain",
    )
    parser.add_argument(
        "--hypothesis", type=Path, required=True, help="Kaldi text of the same utterances"
    )
    parser.add_argument("--output", type=Path, required=True, help="the score file, JSON")
    parser.add_argument("--normalizer", default=DEFAULT_SCHEME, help="one of " + ", ".join(SCHEMES))
    parser.add_argument(
        "--in_domain", nargs="+", default=["core_sounds"], help="the domains that are in-domain"
    )
    return parser


def main() -> None:
    """Score and print the counts of every test set."""
    args = get_parser().parse_args()
    from espnet_otreg.scoring.directory import score_directory
    from espnet_otreg.scoring.results import score_tables
    from espnet_otreg.scoring.trn import write_score_directories

    score = score_directory(args.reference_dir, args.hypothesis, args.normalizer, args.in_domain)
    write_score_directories(score, args.output.parent)
    score.write(args.output)
    print("\n\n".join(table.text() for table in score_tables(score)))


if __name__ == "__main__":
    run_main(main)
