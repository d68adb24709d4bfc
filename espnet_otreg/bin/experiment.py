"""Plan the experiment of a recipe from its experiment.yaml, or show what a run of it sets."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import JOBS


def _words(text: str) -> list[str]:
    return text.split()


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    plan = verbs.add_parser(
        "plan", help="check everything, write EXP/config/*.yaml and EXP/experiment.json, print it"
    )
    plan.add_argument("--conf", type=Path, required=True, help="directory of experiment.yaml")
    plan.add_argument("--exp", type=Path, required=True, help="directory of the experiment")
    plan.add_argument("--arms", type=_words, metavar="NAMES", help="runs to compare, or all")
    plan.add_argument("--pretrainings", type=_words, metavar="NAMES", help="the one to use first")
    plan.add_argument("--seeds", type=_words, default=["1"], metavar="NUMBERS")
    plan.add_argument("--decode_modes", type=_words, metavar="MODES")
    plan.add_argument("--floor_modes", type=_words, default=["preset"], metavar="MODES",
                      help="of the first arm too; preset: as experiment.yaml says")  # fmt: skip
    plan.add_argument("--stages", type=_words, metavar="STAGES", help="that train, in order")
    plan.add_argument("--synthesis", metavar="FILE", help="in place of the preset's")
    plan.add_argument("--accept_licence", action="store_true", help="of voices that are not free")
    plan.add_argument("--num_splits", type=JOBS, default=1, help="parts of the training set")
    plan.add_argument("--dry_run", action="store_true", help="write nothing")
    show = verbs.add_parser("show", help="print a run's configuration as YAML")
    show.add_argument("--conf", type=Path, required=True, help="directory of experiment.yaml")
    show.add_argument("runs", nargs="+", metavar="RUN", help="the keys of later ones win")
    return parser


def main() -> None:
    """Parse, check, write, print."""
    args = get_parser().parse_args()
    from espnet_otreg.recipe.experiment import read_experiment
    from espnet_otreg.recipe.locks import DirectoryLock
    from espnet_otreg.recipe.preset import TRAINING_STAGES, Preset

    if args.verb == "show":
        import yaml

        config = Preset(args.conf).config(*args.runs)
        yaml.safe_dump(config, sys.stdout, sort_keys=False, allow_unicode=True)
        return
    plan = read_experiment(
        args.conf,
        args.exp,
        arms=args.arms or None,
        pretrainings=args.pretrainings or None,
        seeds=args.seeds,
        modes=args.decode_modes or None,
        floor_modes=None if args.floor_modes == ["preset"] else args.floor_modes,
        stages=args.stages or TRAINING_STAGES,
        synthesis=args.synthesis or None,
        accept_licence=args.accept_licence,
        num_splits=args.num_splits,
    )
    lines = list(plan.lines())
    if not args.dry_run:
        with contextlib.closing(DirectoryLock(args.exp, waits=False)):
            plan.write()
    print("\n".join(lines))


if __name__ == "__main__":
    run_main(main)
