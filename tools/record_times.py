#!/usr/bin/env python3
"""Record what a run of the recipe took on this machine and what it fetched.

    tools/record_times.py --preset demo [--recipe DIR] [--exp DIR] [--docs docs/recipe.md]

Writes ``conf/PRESET/times.json``, from which ``run.sh`` tells at its start what will be fetched and
how long the stages will take on the machine it runs on. Record a run from a fresh clone that was
not interrupted, on a machine that does nothing else: ``PYTHONPROFILEIMPORTTIME=1 tools/demo.sh``
lets Python say how long imports take, so that the time of starting programs is known, too.
``--docs`` also writes the table of stages between the markers of the preset in a document.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from espnet_otreg.errors import UserError, run_main  # noqa: E402
from espnet_otreg.recipe.machine import measure  # noqa: E402
from espnet_otreg.recipe.past_run import read_fetches, read_steps  # noqa: E402
from espnet_otreg.recipe.times import Times, stage_table  # noqa: E402
from espnet_otreg.report.results_md import update_document  # noqa: E402


def installation(venv: Path) -> dict[str, float]:
    """How many packages the environment has, their size in megabytes, and the seconds that
    install.sh took for them, if it has made the environment."""
    files = [path for path in venv.rglob("*") if path.is_file() and not path.is_symlink()]
    packages = list(venv.glob("lib/python3*/site-packages/*.dist-info"))
    seconds = venv / ".otreg-seconds"
    return {
        "installed_packages": len(packages),
        "installed_megabytes": round(sum(path.stat().st_size for path in files) / 1e6),
        "installed_seconds": int(seconds.read_text()) if seconds.is_file() else 0,
    }


def stages_of(driver: Path) -> list[str]:
    """The stages of the recipe in their order, as its driver lists them."""
    text = (driver / "slm.sh").read_text(encoding="utf-8")
    training = re.search(r"^training_stages=\(([^)]*)\)", text, re.M)
    stages = re.search(r"^stages=\(([^)]*)\)", text, re.M)
    if training is None or stages is None:
        raise UserError("its stages are not listed", str(driver / "slm.sh"))
    return stages[1].replace('"${training_stages[@]}"', training[1]).split()


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", required=True)
    parser.add_argument("--recipe", type=Path, default=ROOT / "egs2/mini_multi/slm1")
    parser.add_argument("--exp", default="", help="below the recipe; default: exp/PRESET")
    parser.add_argument("--venv", type=Path, default=ROOT / "tools/venv")
    parser.add_argument("--docs", type=Path, help="document with the table of stages")
    return parser


def main() -> None:
    """Read the run, measure the machine, write."""
    args = get_parser().parse_args()
    times = Times(
        machine=measure(),
        installation=installation(args.venv),
        fetches=read_fetches(args.recipe / "downloads"),
        steps=read_steps(args.recipe, args.exp or f"exp/{args.preset}"),
    )
    times.save(args.recipe / "conf" / args.preset / "times.json")
    table = stage_table(times, stages_of(ROOT / "egs2/TEMPLATE/slm1"))
    print(table.text())
    if args.docs and not update_document(args.docs, f"times of {args.preset}", table.markdown()):
        marker = f"<!-- results: times of {args.preset} -->"
        raise UserError(f"there is no {marker}", str(args.docs), "put it where the table belongs")


if __name__ == "__main__":
    run_main(main)
