"""Check data directories: python -m espnet_otreg.bin.validate_data --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from espnet_otreg.data.audio.options import add_audio_options
from espnet_otreg.data.mark_rules import read_mark_rules
from espnet_otreg.data.own_text import read_marks
from espnet_otreg.data.prep_log import format_counts
from espnet_otreg.data.validate import AudioChecks, validate_data
from espnet_otreg.errors import UserError, run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Check Kaldi data directories; print one sentence for every fault, with file "
        "and line, and end with status 1 if there is any.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("data_dirs", nargs="+", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("--check_audio", action="store_true", help="also decode every recording")
    add_audio_options(parser)
    parser.add_argument("--show", type=int, default=20, help="faults printed of each directory")
    parser.add_argument(
        "--max_duration", type=float, default=None, help="seconds; longer utterances are faults"
    )
    parser.add_argument(
        "--marks",
        type=Path,
        help="file that says what marks in the transcripts are, as format_data takes it",
    )
    return parser


def main() -> None:
    """Check every directory."""
    arguments = get_parser().parse_args()
    checks = AudioChecks(
        arguments.check_audio,
        arguments.mix_channels,
        arguments.resample,
        max_seconds=arguments.max_duration,
    )
    rules = read_mark_rules(arguments.marks) if arguments.marks else []
    faults = 0
    for directory in arguments.data_dirs:
        notices: list[str] = []
        errors = validate_data(directory, checks, rules, notices)
        for notice in notices[: arguments.show]:
            print(f"notice: {notice}")
        if len(notices) > arguments.show:
            print(f"{directory}: ... and {len(notices) - arguments.show} more notices")
        faults += len(errors)
        for error in errors[: arguments.show]:
            print(error, file=sys.stderr)
        if len(errors) > arguments.show:
            print(f"{directory}: ... and {len(errors) - arguments.show} more", file=sys.stderr)
        if not errors:
            print(f"{directory}: valid")
            marks = {what: len(ids) for what, ids in read_marks(directory, rules).items()}
            if marks:
                print(f"{directory}: marks: {format_counts(marks)}")
    if faults:
        raise UserError(f"{faults} fault{'s' if faults > 1 else ''} found", mend="see above")


if __name__ == "__main__":
    run_main(main)
