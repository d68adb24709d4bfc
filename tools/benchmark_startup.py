#!/usr/bin/env python3
"""How long the first text takes, beside another checkout of this repository, in one run.

    tools/benchmark_startup.py --before DIRECTORY --model_dir PACKED --audio a.wav --language it

Both transcribe the same recording with the same model in turn, each time in a new process that
imports everything anew. Elapsed seconds depend on what else the machine does; processor seconds
(user and system, of all threads) hardly do. Ratios are medians over rounds of this checkout's
seconds by the other's. Standard error of this checkout is printed if it says anything.

Python compiles each module it imports once and keeps it beside the source, where it may write
there. ``--no_bytecode`` ignores what is kept, as a read-only installation without bytecode does.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def processor_seconds() -> float:
    """User and system time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def transcribe(
    checkout: Path, words: list[str], bytecode: Path | None
) -> tuple[float, float, str, str]:
    """Elapsed seconds, processor seconds, text and standard error of one run."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    if bytecode is not None:
        environment |= {"PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "espnet_otreg.bin.slm_transcribe", *words]
    before, started = processor_seconds(), time.perf_counter()
    # Python looks for modules in the current directory first: not in a checkout.
    done = subprocess.run(
        command, env=environment, cwd=tempfile.gettempdir(), capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr}")
    return seconds, processor_seconds() - before, done.stdout, done.stderr


def main() -> None:
    """Parse the command line, run both in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--model_dir", type=Path, required=True, help="packed directory")
    parser.add_argument("--audio", type=Path, required=True, help="a recording")
    parser.add_argument("--language", required=True, help="what is spoken in it")
    parser.add_argument("--rounds", type=int, default=5, help="of one run each")
    parser.add_argument("--no_bytecode", action="store_true", help="compile every module anew")
    args = parser.parse_args()
    words = ["--model_dir", str(args.model_dir.resolve()), "--language", args.language]
    words.append(str(args.audio.resolve()))
    checkouts = {"before": args.before.resolve(), "now": ROOT}
    elapsed: dict[str, list[float]] = {name: [] for name in checkouts}
    busy: dict[str, list[float]] = {name: [] for name in checkouts}
    texts, said = set(), ""
    with tempfile.TemporaryDirectory() as nothing:
        bytecode = Path(nothing) if args.no_bytecode else None
        for _ in range(args.rounds):
            for name, checkout in checkouts.items():
                seconds, processor, text, errors = transcribe(checkout, words, bytecode)
                elapsed[name].append(seconds)
                busy[name].append(processor)
                texts.add(text)
                said = said or (errors if name == "now" else "")
    print(f"{'':12}{'before':>8}{'now':>8}{'ratio':>8}")
    for kind, times in (("elapsed s", elapsed), ("processor s", busy)):
        ratio = statistics.median(n / b for n, b in zip(times["now"], times["before"], strict=True))
        medians = (statistics.median(times[name]) for name in checkouts)
        print(f"{kind:12}" + "".join(f"{value:8.2f}" for value in medians) + f"{ratio:8.3f}")
    print("same text" if len(texts) == 1 else "other texts", "in all runs")
    print("standard error:", said.strip() or "empty")


if __name__ == "__main__":
    main()
