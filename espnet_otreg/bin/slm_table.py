"""Print score files of several systems as tables: python -m espnet_otreg.bin.slm_table --help."""

from __future__ import annotations

import argparse

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Print score files of several systems: by language in-domain and "
        "out-of-domain, by test set, and by seed, with 95 % intervals."
    )
    parser.add_argument(
        "--row",
        action="append",
        required=True,
        metavar="NAME=PATH[,PATH...]",
        help="a system and its score files; those of the same test set are seeds",
    )
    parser.add_argument("--format", choices=("text", "markdown"), default="text")
    parser.add_argument(
        "--metric",
        nargs="+",
        choices=("wer", "cer", "mer"),
        help="error rates; default: wer and cer, and mer where references mix scripts",
    )
    return parser


def main() -> None:
    """Print the tables."""
    args = get_parser().parse_args()
    from espnet_otreg.scoring.results import result_tables
    from espnet_otreg.scoring.rows import parse_row

    for table in result_tables([parse_row(row) for row in args.row], args.metric):
        print(table.text() if args.format == "text" else table.markdown(), end="\n\n")


if __name__ == "__main__":
    run_main(main)
