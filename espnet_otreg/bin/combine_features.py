"""Pool feature directories: python -m espnet_otreg.bin.combine_features --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Make one feature directory of several, for instance of real and synthetic "
        "training speech. The archives stay where they are.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="of one encoder")
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    return parser


def main() -> None:
    """Pool and say how many utterances there are."""
    args = get_parser().parse_args()
    from espnet_otreg.features.combine import combine_features

    print(f"{args.output}: {combine_features(args.input, args.output)} utterances")


if __name__ == "__main__":
    run_main(main)
