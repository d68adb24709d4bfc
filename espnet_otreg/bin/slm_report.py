"""Write the report on an experiment: python -m espnet_otreg.bin.slm_report --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Write results.md, pages by topic, results.json, table.txt, next.txt and "
        "pictures from the scores and analyses of an experiment: of the runs, seeds and modes that "
        "run.sh was last called with. What is published goes to results/NAME beside the documents "
        "named.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--exp", type=Path, required=True, help="experiment directory, exp/mini")
    parser.add_argument("--output", type=Path, required=True, help="directory of the report")
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
    return parser


def main() -> None:
    """Write the report and print its table."""
    args = get_parser().parse_args()
    from espnet_otreg.experiment import load_experiment
    from espnet_otreg.report.write import Documents, publish, write_report

    title = args.title or f"Preset {args.exp.name}"
    written = write_report(
        load_experiment(args.exp),
        args.output,
        title,
        args.command,
        args.data_dir,
        args.split_record,
    )
    print(written.table, end="")
    documents = Documents(args.results_md, args.readme, args.methods_md, args.methods_results_md)
    publish(written, documents)


if __name__ == "__main__":
    run_main(main)
