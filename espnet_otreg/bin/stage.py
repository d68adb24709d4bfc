"""Ask whether a step of a recipe has to run, and record that it has run (used by slm.sh)."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.ranges import Range

_SECONDS = Range(0, 1e9)


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="begin takes -- COMMAND... last")
    verbs = parser.add_subparsers(dest="verb", required=True)
    begin = verbs.add_parser("begin", help="print the step's record if it has to run")
    begin.add_argument("directory", help="where the step's results go")
    begin.add_argument("--stage", required=True)
    begin.add_argument("--set", action="append", type=_setting, default=[], metavar="KEY=VALUE")
    begin.add_argument("--input", action="append", default=[])
    begin.add_argument("--upstream", action="append", default=[], metavar="DIR")
    begin.add_argument("--output", action="append", default=[])
    begin.add_argument("--training", action="store_true", help="never mix with an earlier run")
    begin.add_argument("--force", action="store_true")
    finish = verbs.add_parser("finish", help="read the record from stdin and write .done")
    finish.add_argument("directory")
    finish.add_argument("--seconds", type=_SECONDS, required=True)
    compare = verbs.add_parser("compare", help="fail unless two YAML files agree")
    compare.add_argument("first")
    compare.add_argument("second")
    compare.add_argument("--but", required=True, metavar="KEY", help="they may differ in this")
    domains = verbs.add_parser("domains", help="fail unless these are domains of the test sets")
    domains.add_argument("--in_domain", nargs="*", required=True, metavar="DOMAIN")
    domains.add_argument("--data_dir", nargs="+", required=True, help="the test sets")
    return parser


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    return key, value


def _read_record() -> dict[str, Any]:
    """What ``begin`` printed, from standard input."""
    try:
        record = json.load(sys.stdin)
    except ValueError as error:
        raise UserError(
            f"no record ({error})", "standard input", "give what begin printed"
        ) from None
    if not isinstance(record, dict) or not isinstance(record.get("wanted"), list):
        raise UserError("this is no record", "standard input", "give what begin printed")
    return record


def main() -> None:
    """Parse, decide or record, print."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    args = get_parser().parse_args(words[:end])
    from espnet_otreg.recipe.facts import require_equal
    from espnet_otreg.recipe.ledger import Step, begin, finish
    from espnet_otreg.scoring.references import check_domains

    if args.verb == "compare":
        return require_equal(args.first, args.second, args.but)
    if args.verb == "domains":
        return check_domains(args.in_domain, args.data_dir)
    if args.verb == "finish":
        finish(args.directory, _read_record(), args.seconds)
        return
    decision = begin(
        Step(
            stage=args.stage,
            directory=args.directory,
            settings=dict(args.set),
            command=words[end + 1 :],
            inputs=args.input,
            upstream=args.upstream,
            outputs=args.output,
            training=args.training,
        ),
        force=args.force,
    )
    print(f"{args.directory}: {decision.reason}", file=sys.stderr)
    if decision.record is not None:
        print(json.dumps(decision.record))


if __name__ == "__main__":
    run_main(main)
