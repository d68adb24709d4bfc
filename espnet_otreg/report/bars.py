"""Error rates by language as bars with intervals, in-domain beside out-of-domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.report.style import COLOURS, GREY, SETTINGS, load_pyplot, save
from espnet_otreg.scoring.rows import (
    MEASURES,
    Measure,
    Row,
    SetResult,
    macro_draws,
    macro_rate,
    measure_label,
)
from espnet_otreg.scoring.significance import percentile_interval

_PANELS = (
    ("In-domain", ("in_domain",)),
    ("Out-of-domain (* synthetic speech)", ("out_of_domain", "synthetic")),
)


def draw_bars(rows: Sequence[Row], path: str | Path) -> None:
    """WER above, CER below; one group of bars a language, one bar a row.

    Args:
        rows: at most six, in the order of the bars.
        path: PNG to write.

    Raises:
        UserError: if matplotlib is missing.
    """
    pyplot = load_pyplot()
    with pyplot.rc_context(SETTINGS):
        figure, axes = pyplot.subplots(
            2, 2, figsize=(9, 5.6), sharey="row", layout="constrained", squeeze=False
        )
        for line, measure in enumerate(MEASURES):
            for column, (title, groups) in enumerate(_PANELS):
                _panel(axes[line][column], rows, groups, measure)
                if line == 0:
                    axes[line][column].set_title(title)
        names = axes[0][0].get_legend_handles_labels()
        figure.legend(*names, loc="outside upper center", ncols=3)  # more do not fit in the width
        save(figure, path)


def _panel(axes: Any, rows: Sequence[Row], groups: Sequence[str], measure: Measure) -> None:
    def sets_of(row: Row, language: str) -> list[SetResult]:
        return [s for s in row.sets if s.group in groups and s.language == language]

    every = [s for row in rows for s in row.sets if s.group in groups]
    languages = sorted({s.language for s in every})
    synthetic = {s.language for s in every if s.group == "synthetic"}
    width = 0.8 / len(rows)
    for index, row in enumerate(rows):
        for place, language in enumerate(languages):
            sets = sets_of(row, language)
            if not sets:
                continue
            rate = macro_rate(sets, measure)
            low, high = percentile_interval(macro_draws(sets, measure))
            x = place + (index - (len(rows) - 1) / 2) * width
            label = row.name if place == 0 else None
            axes.bar(x, rate, 0.92 * width, color=COLOURS[index], label=label)
            # A percentile interval need not hold the rate itself.
            error = [[max(rate - low, 0)], [max(high - rate, 0)]]
            axes.errorbar(x, rate, error, color="black", linewidth=0.8, capsize=1.5)
    marked = [language + "*" * (language in synthetic) for language in languages]
    axes.set_xticks(range(len(languages)), marked)
    axes.tick_params(length=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines["left"].set_visible(False)
    if every and axes.get_subplotspec().is_first_col():
        axes.set_ylabel(f"{measure_label(every, measure)} (%)", color=GREY)
