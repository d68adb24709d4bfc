"""Is system B better than system A? python -m espnet_otreg.bin.slm_compare --help."""

from __future__ import annotations

import argparse

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Compare system B with system A on the same test sets: differences with "
        "intervals, p values and a verdict. Refuses other test sets or normalizers."
    )
    row = "[NAME=]PATH[,PATH...]"
    parser.add_argument("a", metavar="A", help=f"{row}: the control and its score files")
    parser.add_argument("b", metavar="B", help=f"{row}: its rival, seeds in the same order")
    parser.add_argument("--format", choices=("text", "markdown"), default="text")
    parser.add_argument(
        "--metric",
        nargs="+",
        choices=("wer", "cer", "mer"),
        help="error rates; default: wer and cer, and mer where references mix scripts",
    )
    return parser


def main() -> None:
    """Print the comparison."""
    args = get_parser().parse_args()
    from espnet_otreg.scoring.compare import compare
    from espnet_otreg.scoring.results import comparison_tables
    from espnet_otreg.scoring.rows import parse_row

    comparison = compare(parse_row(args.a, "A"), parse_row(args.b, "B"), args.metric)
    for table in comparison_tables(comparison):
        print(table.text() if args.format == "text" else table.markdown(), end="\n\n")


if __name__ == "__main__":
    run_main(main)
