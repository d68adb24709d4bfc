"""Run the stages that slm.sh declares, or check the names of its test sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import JOBS, Range

_GPUS = Range(0, 1024, whole=True)


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="read stages and steps from stdin and run them")
    run.add_argument("--exp", required=True, metavar="DIR", help="locked for the whole run")
    run.add_argument("--shared", nargs="*", default=[], metavar="DIR",
                     help="locked while a step writes into it")  # fmt: skip
    run.add_argument("--stages", nargs="+", required=True, help="names of all stages there are")
    run.add_argument("--go_on", required=True, help="the user's command line, for messages")
    run.add_argument("--models_at_once", type=JOBS, default=1)
    run.add_argument("--ngpu", type=_GPUS, default=0)
    run.add_argument("--num_nodes", type=JOBS, default=1)
    run.add_argument("--force", choices=("true", "false"), default="false",
                     help="whether what is done already runs, too")  # fmt: skip
    run.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="times of another machine, from which this run's are told if it is there",
    )
    run.add_argument("--dry_run", action="store_true", help="print the commands")
    domains = verbs.add_parser("domains", help="fail unless these are domains of the test sets")
    domains.add_argument("--in_domain", nargs="*", required=True, metavar="DOMAIN")
    domains.add_argument("--beside", nargs="*", default=[], metavar="DOMAIN")
    domains.add_argument("--data_dir", nargs="+", required=True, help="the test sets")
    return parser


def run_stages(args: argparse.Namespace) -> int:
    """Read the declarations and run them; the exit status."""
    from espnet_otreg.recipe.display import Display
    from espnet_otreg.recipe.forecast import forecast
    from espnet_otreg.recipe.launch import Launcher
    from espnet_otreg.recipe.runner import Runner, RunOptions, show_all
    from espnet_otreg.recipe.steps import parse_declarations

    try:
        declared = parse_declarations(sys.stdin.buffer.read())
    except EOFError:
        return 1  # the shell has said why
    launcher = Launcher(declared.wrappers, args.ngpu, args.num_nodes)
    if args.dry_run:
        for line in show_all(declared, launcher):
            print(line)
        return 0
    display = Display(args.go_on, args.stages)
    if args.times is not None and (told := forecast(declared, args.exp, args.times)):
        display.line(told)
    options = RunOptions(args.exp, args.shared, args.models_at_once, args.force == "true")
    return Runner(options, declared, launcher, display).run()


def main() -> None:
    """Parse and run."""
    args = get_parser().parse_args()
    if args.verb == "run":
        sys.exit(run_stages(args))
    from espnet_otreg.scoring.references import check_domains

    check_domains(args.in_domain, args.data_dir, args.beside)


if __name__ == "__main__":
    run_main(main)
