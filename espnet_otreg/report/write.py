"""The files of a report, and their way into RESULTS.md, README.md and results/."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.experiment import Experiment
from espnet_otreg.files import atomic_write, write_json
from espnet_otreg.report.bars import draw_bars
from espnet_otreg.report.collect import Report, collect, to_json
from espnet_otreg.report.ending import SUMMARY, ending
from espnet_otreg.report.layout import System
from espnet_otreg.report.methods import method_tables
from espnet_otreg.report.pages import PAGES, render_pages
from espnet_otreg.report.results_md import update_document, write_results
from espnet_otreg.report.summary import methods_summary, readme_section, summary, terminal
from espnet_otreg.scoring.rows import Row

NUMBERS = "results.json"
_PICTURES = {"bars": "bars.png", "plan": "plan.png"}


@dataclass(frozen=True)
class Written:
    """A report that has been written.

    Attributes:
        report: its facts.
        title: of the experiment.
        directory: where its files are.
        files: description -> name of each file that RESULTS.md links to.
        pictures: name of each picture that has been drawn -> its file.
        table: what a terminal shows.
    """

    report: Report
    title: str
    directory: Path
    files: dict[str, str]
    pictures: dict[str, str]
    table: str


def write_report(
    experiment: Experiment,
    output: Path,
    title: str,
    command: str,
    data_dirs: Sequence[Path] = (),
    split_record: Path | None = None,
) -> Written:
    """Write a summary, pages by topic, numbers, a table for the terminal and pictures.

    Args:
        experiment: where the scores are.
        output: directory of ``results.md`` (the summary), its pages
            (:data:`espnet_otreg.report.pages.PAGES`), ``results.json``, ``table.txt``,
            ``next.txt`` (what stands below the table at the end of a run) and pictures.
        title: of the experiment.
        command: what the user typed.
        data_dirs: train, dev and test sets.
        split_record: the recorded split, ``conf/split.json``.

    Raises:
        UserError: if nothing was scored.
    """
    report = collect(experiment, command, data_dirs, split_record)
    drawn = []
    try:
        rows = bar_rows(report)
        if rows:
            draw_bars(rows, output / _PICTURES["bars"])
            drawn.append("bars")
    except UserError as error:
        report.missing.append(f"No pictures: {error}.")
    plan = _plan_picture(experiment)
    if plan:
        _copy(plan, output / _PICTURES["plan"])
        drawn.append("plan")
    pictures = {name: _PICTURES[name] for name in drawn}
    pages = render_pages(report, title, pictures)
    for page in PAGES:  # without those of an earlier report that have nothing to say now
        (output / page.file).unlink(missing_ok=True)
    for page, text in pages.items():
        _write_text(output / page.file, text)
    files = {page.title: page.file for page in pages} | {"All numbers": NUMBERS}
    table = terminal(report)
    write_json(output / NUMBERS, to_json(report))
    _write_text(output / SUMMARY, summary(report, title, files))
    _write_text(output / "table.txt", table)
    _write_text(output / "next.txt", ending(report, output, pictures.values()))
    return Written(report, title, output, files, pictures, table)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text)


def bar_rows(report: Report) -> list[Row]:
    """The baseline and the arms in the mode of the primary comparison."""
    wanted = [System("whisper", "")]
    wanted += [System(arm, report.selection.mode or "") for arm in report.experiment.arms]
    return [report.rows[system] for system in wanted if system in report.rows][:6]


def _plan_picture(experiment: Experiment) -> Path | None:
    """The transport plan that stage 13 drew, of the candidate of the primary pair if it has one."""
    first = [experiment.primary.candidate] if experiment.primary else []
    for arm in (*first, *experiment.arms):
        for seed in experiment.seeds:
            plan = experiment.run_dir(arm, seed) / "analysis" / "plan.png"
            if plan.is_file():
                return plan
    return None


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
    """

    results_md: Path | None = None
    readme: Path | None = None
    methods_md: Path | None = None
    methods_results_md: Path | None = None


def publish(written: Written, documents: Documents) -> None:
    """Put a report into documents, and its pages, numbers and pictures beside them.

    They go to ``results/NAME`` beside RESULTS.md or README.md; all methods side by side to
    ``results/NAME_methods`` and to a section of their own, because they may come from smaller test
    sets than the experiment's section.

    Raises:
        UserError: if a marker in the README or in the page on all methods has no end.
    """
    report, title = written.report, written.title
    if documents.results_md is not None:
        links = _publish_files(written, documents.results_md, report.name)
        write_results(documents.results_md, report.name, summary(report, title, links))
    if documents.readme is not None:
        _publish_files(written, documents.readme, report.name)
        plan = written.pictures.get("plan")
        picture = f"results/{report.name}/{plan}" if plan else None
        _update(documents.readme, report.name, readme_section(report, picture))
    tables = [table.markdown() for table in method_tables(report)]
    if documents.methods_md is not None and tables:
        _update(documents.methods_md, report.name, "\n\n".join(tables))
    if documents.methods_results_md is not None and tables:
        name = f"{report.name}_methods"
        links = _publish_files(written, documents.methods_results_md, name)
        section = methods_summary(report, f"{title}: all methods", links)
        write_results(documents.methods_results_md, name, section)


def _publish_files(written: Written, document: Path, name: str) -> dict[str, str]:
    """Copy a report to ``results/NAME`` beside a document; the links to it from there."""
    target = document.parent / "results" / name
    for page in PAGES:
        (target / page.file).unlink(missing_ok=True)
    for file in (*written.files.values(), *written.pictures.values()):
        _copy(written.directory / file, target / file)
    return {text: f"results/{name}/{file}" for text, file in written.files.items()}


def _update(path: Path, name: str, content: str) -> None:
    if not update_document(path, name, content):
        print(f"{path}: it does not show the experiment {name}: left as it is")
