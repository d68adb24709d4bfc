"""Make train, preference, dev, test and ood: python -m espnet_otreg.bin.split_data --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.data.recipe_sets import make_sets
from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Split the in-domain corpora by normalized text into train, preference (a "
        "part of the texts that no training sees), dev and test; pool the out-of-domain corpora "
        "into ood, without the texts of the first two; compare all with the recorded split.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for option in ("--in_domain", "--out_of_domain"):
        parser.add_argument(
            option, nargs="+", type=Path, required=True, metavar="DIR",
            help="prepared data directories",
        )  # fmt: skip
    parser.add_argument(
        "--training", nargs="+", type=Path, default=[], metavar="DIR",
        help="more prepared data directories for train; texts of the other sets are taken out",
    )  # fmt: skip
    parser.add_argument(
        "--same_texts", nargs="+", type=Path, default=[], metavar="DIR",
        help="more prepared data directories for ood, whose texts may be those of train",
    )  # fmt: skip
    parser.add_argument("--output_dir", type=Path, required=True, help="gets train, dev, ...")
    parser.add_argument(
        "--record", type=Path, required=True, help="conf/split.json; is made if it does not exist"
    )
    return parser


def main() -> None:
    """Split and print the table of what was kept and dropped."""
    arguments = get_parser().parse_args()
    print(
        make_sets(
            arguments.in_domain,
            arguments.out_of_domain,
            arguments.output_dir,
            arguments.record,
            arguments.training,
            arguments.same_texts,
        )
    )


if __name__ == "__main__":
    run_main(main)
