"""What stands below the table at the end of a run: where the pictures are, and what to do next."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from espnet_otreg.report.collect import Report
from espnet_otreg.report.layout import uses_llm

SUMMARY = "results.md"


def ending(report: Report, directory: Path, pictures: Iterable[str]) -> str:
    """Pictures, the report, and a command that transcribes a recording with the best model.

    Paths are absolute and the command names its Python: the recipe may have been started from
    anywhere.

    Args:
        report: its facts.
        directory: where it was written.
        pictures: names of files there.
    """
    shown = [os.path.abspath(directory / name) for name in pictures]
    lines = [f"Pictures: {', '.join(shown)}"] if shown else []
    lines.append(f"Report: {os.path.abspath(directory / SUMMARY)}")
    model = _packed_model(report)
    if model is not None:
        languages = sorted({s.language for row in report.rows.values() for s in row.sets})
        words = [sys.executable, "-m", "espnet_otreg.bin.slm_transcribe", "--model_dir", model]
        words += ["--language", languages[0]]
        lines.append(f"Next, transcribe a recording of yours: {shlex.join(words)} RECORDING")
        lines.append(f"  (languages: {' '.join(languages)}); docs/own_corpus.md trains on yours.")
    return "\n".join(lines) + "\n"


def _packed_model(report: Report) -> str | None:
    """Where stage pack puts the model that the development set chose, or the best one that has an
    LLM; None if no such model was decoded."""
    chosen = sorted(report.selection.dev, key=lambda system: report.selection.dev[system])
    systems = [system for system in (*chosen, *report.rows) if uses_llm(system.mode)]
    if not systems:
        return None
    run = report.experiment.run_dir(systems[0].arm, report.seeds[0])
    return os.path.abspath(run / "packed" / "model")
