"""Score a hypothesis file: python -m espnet_otreg.bin.slm_score --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.scoring.normalize import SCHEMES, SCORING_SCHEME


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Score a hypothesis file against a Kaldi data directory: errors pooled within "
        "(language, test set), macro and micro means over languages, quality counts. Writes the "
        "score file, and score_wer and score_cer (ref.trn, hyp.trn, result.txt) beside it; "
        "score_mer too where the references mix scripts.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--reference_dir",
        type=Path,
        required=True,
        help="data directory with text, utt2lang and perhaps utt2spk and utt2domain",
    )
    parser.add_argument(
        "--hypothesis", type=Path, required=True, help="Kaldi text of the same utterances"
    )
    parser.add_argument("--output", type=Path, required=True, help="the score file, JSON")
    parser.add_argument("--normalizer", default=SCORING_SCHEME, help="one of " + ", ".join(SCHEMES))
    parser.add_argument(
        "--in_domain",
        nargs="*",
        metavar="DOMAIN",
        help="the domains that are in-domain, or no name for none; core_sounds if not given",
    )
    parser.add_argument(
        "--beside",
        nargs="*",
        default=[],
        metavar="DOMAIN",
        help="domains that stand beside the out-of-domain sets and count in no mean of theirs",
    )
    parser.add_argument(
        "--equivalences",
        type=Path,
        metavar="YAML",
        help="spellings that count as the same, and words and marks to ignore (docs/scoring.md)",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        choices=("wer", "cer", "mer"),
        help="error rates to show and mean; default: wer and cer, and mer, the mixed error rate, "
        "where a tenth or more of the references mix scripts",
    )
    return parser


def main() -> None:
    """Score and print the counts of every test set."""
    args = get_parser().parse_args()
    from espnet_otreg.data.kaldi_dir import TABLES
    from espnet_otreg.scoring.directory import score_directory
    from espnet_otreg.scoring.results import score_measures, score_tables
    from espnet_otreg.scoring.trn import write_score_directories

    read = [args.hypothesis, *(args.reference_dir / name for name in TABLES)]
    if args.output.resolve() in [path.resolve() for path in read]:
        raise UserError("this file is read", str(args.output), "give another --output")
    if args.output.is_dir():
        raise UserError("this is a directory", f"--output {args.output}", "name a file in it")
    score = score_directory(
        args.reference_dir,
        args.hypothesis,
        args.normalizer,
        args.in_domain,
        args.equivalences,
        args.beside,
    )
    measures = score_measures(score, args.metric)
    write_score_directories(
        score, args.output.parent, tuple(dict.fromkeys(("wer", "cer", *measures)))
    )
    score.write(args.output)
    print("\n\n".join(table.text() for table in score_tables(score, measures)))
    if args.in_domain and not any(s.group == "in_domain" for s in score.sets):
        print(
            f"note: none of these sets is in-domain; {', '.join(args.in_domain)} is beside them",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_main(main)
