"""Write down a training that was tried: python -m espnet_otreg.bin.search_log --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import Range

_HOURS = Range(0, 100_000)


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Write NAME.json into the directory of a search, from what a training and its "
        "scores have left, and README.md anew: a table of all that was tried, the best on the "
        "development set first, with hours planned and spent, and for each trial in what it "
        "differs from the reference, its loss on the development set and its command.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="directory of the training")
    parser.add_argument("--name", required=True, help="of the trial, such as layers_4")
    parser.add_argument("--note", default="", help="what was asked")
    parser.add_argument("--reference", type=Path, help="the training that it differs from")
    parser.add_argument("--planned", type=_HOURS, metavar="HOURS", help="before it started")
    parser.add_argument("--output", type=Path, required=True, help="directory of the search")
    return parser


def main() -> None:
    """Read the training, write the entry and the page."""
    args = get_parser().parse_args()
    from espnet_otreg.report.search_log import read_trial, write_trial

    trial = read_trial(args.run, args.name, args.note, args.reference, args.planned)
    write_trial(trial, args.output)
    print(f"{args.output / 'README.md'}: {trial.name}, {trial.spent_hours:.2f} hours")


if __name__ == "__main__":
    run_main(main)
