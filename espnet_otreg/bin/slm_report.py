"""Write the report on an experiment: python -m espnet_otreg.bin.slm_report --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import SEED


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Write results.md, results.json, table.txt and pictures from the scores and "
        "analyses of an experiment directory. What is not named is what is found there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--exp", type=Path, required=True, help="experiment directory, exp/mini")
    parser.add_argument("--output", type=Path, required=True, help="directory of the report")
    parser.add_argument(
        "--pretrainings", nargs="+", default=[], help="those of stage 7, the one that is used first"
    )
    parser.add_argument("--arms", nargs="+", default=[], help="those that were to be trained")
    parser.add_argument("--seeds", nargs="+", type=SEED, default=[], help="those of every arm")
    parser.add_argument("--modes", nargs="+", default=[], help="ways of decoding")
    parser.add_argument(
        "--data_dir", nargs="+", type=Path, default=[], help="train, dev and test sets, in order"
    )
    parser.add_argument("--split_record", type=Path, help="the recorded split, conf/split.json")
    parser.add_argument("--command", default="not recorded", help="what the user typed")
    parser.add_argument("--title", help="of the section; default: Preset NAME")
    parser.add_argument("--results_md", type=Path, help="RESULTS.md to put the section into")
    parser.add_argument("--readme", type=Path, help="README.md whose results are rewritten")
    parser.add_argument(
        "--methods_md", type=Path, help="page with all methods, docs/regularizers.md, likewise"
    )
    parser.add_argument(
        "--methods_results_md", type=Path, help="RESULTS.md to put a section on all methods into"
    )
    parser.add_argument(
        "--images", type=Path, help="directory for the pictures of those two; docs/images beside"
    )
    return parser


def main() -> None:
    """Write the report and print its table."""
    args = get_parser().parse_args()
    from espnet_otreg.report.layout import find_experiment
    from espnet_otreg.report.write import Documents, publish, write_report

    experiment = find_experiment(args.exp, args.arms, args.seeds, args.modes, args.pretrainings)
    title = args.title or f"Preset {args.exp.name}"
    written = write_report(
        experiment, args.output, title, args.command, args.data_dir, args.split_record
    )
    print(written.table, end="")
    documents = Documents(
        args.results_md, args.readme, args.methods_md, args.methods_results_md, args.images
    )
    publish(written, title, documents)


if __name__ == "__main__":
    run_main(main)
