"""Kill the tests' tiny recipe at random moments, run it again, and compare what it ends in.

The recipe runs once undisturbed, stage by stage, and its directory is kept as it was before each
stage. Then, for every kill, a moment is drawn uniformly over the time of that run; the recipe
starts from the copy that belongs to it, is killed with -9 at that moment and is run again to the
end. The first kill is not drawn: it strikes while half of a checkpoint is written.

Exit status 1 unless every rerun succeeds and ends in the same table, hypotheses and parameters.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORT = ROOT / "test/support"
sys.path[:0] = [str(ROOT), str(SUPPORT)]

from tiny_llm import build_tiny_llm  # noqa: E402
from tiny_recipe import TinyRecipe  # noqa: E402
from tiny_whisper import build_tiny_whisper  # noqa: E402

STAGES = (
    "data format features llm tokens stats pretrain train_sft train_arms decode score analyze "
    "report pack"
).split()
# Found by every Python of the recipe; strikes in the training only.
SITE = """import sys
if "espnet_otreg.bin.slm_train" in sys.orig_argv and "--collect_stats" not in sys.orig_argv:
    from faults import die_while_saving
    die_while_saving("checkpoint.pth", 2, 0.5)
"""


@dataclass(frozen=True)
class Undisturbed:
    """How long each stage took, the copies made before each, and what came out."""

    seconds: list[float]
    copies: list[Path]
    outcome: dict[str, str]


@dataclass(frozen=True)
class Kill:
    """A moment and what came of it."""

    stage: str
    second: float
    newest: str
    goes_on: bool
    identical: bool


def run_undisturbed(recipe: TinyRecipe, root: Path) -> Undisturbed:
    """Run every stage and keep the directory as it was before."""
    seconds, copies = [], []
    for stage in STAGES:
        copies.append(root / "before" / stage)
        shutil.copytree(recipe.directory, copies[-1], symlinks=True)
        started = time.monotonic()
        done = recipe.run("--stage", stage, "--stop_stage", stage)
        seconds.append(time.monotonic() - started)
        if done.returncode:
            sys.exit(f"the undisturbed run failed: {done.stderr[-2000:]}")
        print(f"undisturbed: {stage}, {seconds[-1]:.1f} s", flush=True)
    return Undisturbed(seconds, copies, recipe.outcome())


def newest_file(directory: Path) -> str:
    """What was written last before the kill."""
    times = {}
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # jobs may still be at work
            if path.is_file() and not path.is_symlink():
                times[path] = path.stat().st_mtime_ns
    return str(max(times, key=lambda path: times[path]).relative_to(directory))


def strike(recipe: TinyRecipe, whole: Undisturbed, moment: float) -> tuple[int, str]:
    """Start at the stage of a moment and kill everything at that moment."""
    stage = 0
    while moment > whole.seconds[stage]:
        moment -= whole.seconds[stage]
        stage += 1
    shutil.rmtree(recipe.directory)
    shutil.copytree(whole.copies[stage], recipe.directory, symlinks=True)
    process = recipe.start("--stage", STAGES[stage])
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGKILL)  # it is still there: nobody has waited for it
    process.wait()
    return stage, newest_file(recipe.directory)


def strike_inside_a_checkpoint(recipe: TinyRecipe, whole: Undisturbed, root: Path) -> int:
    """Let the first training die with half of its second checkpoint written."""
    stage = STAGES.index("pretrain")
    shutil.rmtree(recipe.directory)
    shutil.copytree(whole.copies[stage], recipe.directory, symlinks=True)
    (root / "site").mkdir()
    (root / "site/sitecustomize.py").write_text(SITE)
    os.environ["PYTHONPATH"] = f"{root}/site:{SUPPORT}"
    if recipe.run("--stage", "pretrain").returncode == 0:
        sys.exit("the training was not killed")
    del os.environ["PYTHONPATH"]
    return stage


def kill_and_rerun(
    recipe: TinyRecipe, whole: Undisturbed, moments: list[float | None], root: Path
) -> Iterator[Kill]:
    """One kill for every moment; None stands for the one inside a checkpoint."""
    for moment in moments:
        if moment is None:
            stage, newest = strike_inside_a_checkpoint(recipe, whole, root), "half a checkpoint.pth"
            moment = sum(whole.seconds[:stage])  # at the earliest
        else:
            stage, newest = strike(recipe, whole, moment)
        done = recipe.run()
        goes_on = done.returncode == 0
        if not goes_on:
            print(done.stderr[-2000:], file=sys.stderr)
        identical = goes_on and recipe.outcome() == whole.outcome
        yield Kill(STAGES[stage], moment, newest, goes_on, identical)


def main() -> None:
    """Run, kill, compare, write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="default: another one every time")
    parser.add_argument("--report", type=Path, help="a Markdown file to write")
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    print(f"--seed {seed}", flush=True)
    root = Path(tempfile.mkdtemp(prefix="kill_recipe."))
    build_tiny_whisper().save_pretrained(root / "whisper")
    recipe = TinyRecipe(root / "slm1", root / "whisper", build_tiny_llm(root / "llm"))
    whole = run_undisturbed(recipe, root)
    draw, total = random.Random(seed), sum(whole.seconds)
    moments: list[float | None] = [None]
    moments += sorted(draw.uniform(0, total) for _ in range(args.kills - 1))
    rows = []
    for number, kill in enumerate(kill_and_rerun(recipe, whole, moments, root), start=1):
        end = "identical" if kill.identical else "DIFFERENT" if kill.goes_on else "FAILED"
        rows.append((number, kill.stage, f"{kill.second:.1f}", f"`{kill.newest}`", end))
        print(*rows[-1], flush=True)
    good = sum(row[-1] == "identical" for row in rows)
    report = "\n".join([
        "# Kills of the tiny recipe",
        "",
        f"`python tools/kill_recipe.py --kills {args.kills} --seed {seed}`: {good} of {len(rows)} "
        f"reruns end in the undisturbed run's {len(whole.outcome)} tables, hypotheses and models. "
        f"The undisturbed run takes {total:.0f} s.",
        "",
        "| kill | stage | second of the run | written last before the kill | result of the rerun |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
        "",
    ])  # fmt: skip
    print(report)
    if args.report:
        args.report.write_text(report, encoding="utf-8")
    shutil.rmtree(root)
    sys.exit(good < len(rows))


if __name__ == "__main__":
    main()
