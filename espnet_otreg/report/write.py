"""The files of a report, and their way into RESULTS.md and README.md."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, write_json
from espnet_otreg.report.bars import draw_bars
from espnet_otreg.report.collect import Report, collect, to_json
from espnet_otreg.report.layout import Experiment, System, is_pretraining
from espnet_otreg.report.methods import method_tables
from espnet_otreg.report.render import (
    headline,
    markdown,
    methods_markdown,
    terminal,
    verdict_lines,
)
from espnet_otreg.report.results_md import update_document, write_results
from espnet_otreg.scoring.rows import Row

_BARS = "Error rates by language with 95 % intervals"
_PLAN = "A transport plan: which moment of the recording belongs to which token"


@dataclass(frozen=True)
class Written:
    """A report that has been written.

    Attributes:
        report: its facts.
        images: (description, file) of each picture.
        table: what a terminal shows.
    """

    report: Report
    images: tuple[tuple[str, Path], ...]
    table: str


def write_report(
    experiment: Experiment,
    output: Path,
    title: str,
    command: str,
    data_dirs: Sequence[Path] = (),
    split_record: Path | None = None,
) -> Written:
    """Write results.json, results.md, table.txt and pictures into ``output``.

    Raises:
        UserError: if nothing was scored.
    """
    report = collect(experiment, command, data_dirs, split_record)
    images: list[tuple[str, Path]] = []
    try:
        rows = bar_rows(report)
        if rows:
            draw_bars(rows, output / f"{report.name}_bars.png")
            images.append((_BARS, output / f"{report.name}_bars.png"))
    except UserError as error:
        report.missing.append(f"No pictures: {error}.")
    images += [(_PLAN, plan) for plan in _plan_picture(experiment, output)]
    table = terminal(report)
    write_json(output / "results.json", to_json(report))
    names = [(text, path.name) for text, path in images]
    with atomic_write(output / "results.md") as file:
        file.write(markdown(report, title, names))
    with atomic_write(output / "table.txt") as file:
        file.write(table)
    return Written(report, tuple(images), table)


def bar_rows(report: Report) -> list[Row]:
    """The baseline and the arms in the mode of the primary comparison."""
    wanted = [System("whisper", "")]
    arms = dict.fromkeys(system.arm for system in report.rows if system.mode)
    wanted += [System(arm, report.selection.mode or "") for arm in arms if not is_pretraining(arm)]
    return [report.rows[system] for system in wanted if system in report.rows][:6]


def _plan_picture(experiment: Experiment, output: Path) -> list[Path]:
    """A copy of the transport plan that stage 12 drew, of OTReg if there is one."""
    for arm in ("otreg", *experiment.arms):
        for seed in experiment.seeds:
            plan = experiment.run_dir(arm, seed) / "analysis" / "plan.png"
            if plan.is_file():
                return [_copy(plan, output / f"{experiment.directory.name}_plan.png")]
    return []


def _copy(source: Path, target: Path) -> Path:
    with open(source, "rb") as original, atomic_write(target, "wb") as file:
        shutil.copyfileobj(original, file)
    return target


@dataclass(frozen=True)
class Documents:
    """Where a report is published; what is None is left out.

    Attributes:
        results_md: RESULTS.md, for the section on the experiment.
        readme: README.md.
        methods_md: the page that shows all methods side by side.
        methods_results_md: RESULTS.md, for the section on all methods.
        images: directory of the pictures; None: ``docs/images`` beside RESULTS.md and README.md.
    """

    results_md: Path | None = None
    readme: Path | None = None
    methods_md: Path | None = None
    methods_results_md: Path | None = None
    images: Path | None = None


def publish(written: Written, title: str, documents: Documents) -> None:
    """Put a report into documents, with copies of its pictures.

    All methods side by side go to a page and to a section of RESULTS.md of their own, because they
    may come from smaller test sets than the experiment's section.

    Args:
        written: the report.
        title: of its section.
        documents: which, and where.

    Raises:
        UserError: if a marker in the README or in the page on all methods has no end.
    """
    for path in (documents.results_md, documents.readme):
        if path is None:
            continue
        directory = documents.images or path.parent / "docs" / "images"
        copies = [(text, _copy(file, directory / file.name)) for text, file in written.images]
        relative = [(text, os.path.relpath(copy, path.parent)) for text, copy in copies]
        if path == documents.results_md:
            write_results(path, written.report.name, markdown(written.report, title, relative))
        else:
            _update(path, written.report.name, readme_section(written.report, relative))
    tables = [table.markdown() for table in method_tables(written.report)]
    if documents.methods_md is not None and tables:
        _update(documents.methods_md, written.report.name, "\n\n".join(tables))
    if documents.methods_results_md is not None and tables:
        section = methods_markdown(written.report, f"{title}: all methods")
        write_results(documents.methods_results_md, f"{written.report.name}_methods", section)


def _update(path: Path, name: str, content: str) -> None:
    if not update_document(path, name, content):
        print(f"{path}: it does not show the experiment {name}: left as it is")


def readme_section(report: Report, images: Sequence[tuple[str, str]]) -> str:
    """The headline table, the verdict and one picture."""
    best = report.selection.best.name if report.selection.best else None
    parts = [headline(list(report.rows.values()), best).markdown()]
    if report.primary:
        parts += verdict_lines(report.primary)
    pictures = [image for image in images if image[0] == _PLAN] or list(images)
    parts += [f"![{text}]({path})" for text, path in pictures[:1]]
    return "\n\n".join(parts)
