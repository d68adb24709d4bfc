"""What a run of a recipe took and fetched, read from what it has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.data.sources import SOURCES, Source
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.catalogue import CATALOGUE
from espnet_otreg.recipe.ledger import DONE
from espnet_otreg.recipe.times import Fetch, StepTime, relative
from espnet_otreg.text_llm.packages import TEXT_SOURCES


def read_steps(recipe: Path, exp: str) -> tuple[StepTime, ...]:
    """The steps of an experiment that has run, and those that it went on from.

    Args:
        recipe: its directory.
        exp: the directory of the experiment below it.

    Raises:
        UserError: if nothing has run there.
    """
    found: dict[str, Mapping[str, Any]] = {}
    first = [path.parent for path in sorted((recipe / exp).rglob(DONE))]
    first += [path.parent for path in sorted((recipe / "downloads/done").rglob(DONE))]
    _follow((str(path.relative_to(recipe)) for path in first), recipe, found)
    if not found:
        raise UserError("nothing has run here", str(recipe / exp), "run the recipe first")
    times = [
        StepTime(r["stage"], relative(step, exp), r["seconds"], r.get("of_these", {}))
        for step, r in found.items()
    ]
    return tuple(sorted(times, key=lambda time: (time.stage, time.step)))


def _follow(steps: Iterable[str], recipe: Path, found: dict[str, Mapping[str, Any]]) -> None:
    for step in steps:
        path = recipe / step / DONE
        if step not in found and path.is_file():
            found[step] = read_json(path)
            _follow(found[step]["upstream"], recipe, found)


def read_fetches(downloads: Path) -> tuple[Fetch, ...]:
    """The archives and models that a recipe has fetched, largest first."""
    return tuple(sorted(_fetched(downloads), key=lambda fetch: -fetch.megabytes))


def _fetched(downloads: Path) -> Iterator[Fetch]:
    sources: Mapping[str, Source] = {**SOURCES, **TEXT_SOURCES}
    for name, source in sources.items():
        files = [
            file
            for package in source.packages
            for file in (downloads / "archives").glob(f"{package.name}_*.deb")
        ]
        if files and (downloads / name).is_dir():
            yield Fetch(name, _megabytes(files), source.licence)
    for name, model in CATALOGUE.items():
        if (downloads / name).is_dir():
            versions = model.packaged.versions if model.packaged else {}
            stems = [distribution.replace("-", "_") for distribution in versions]
            wheels = [
                wheel for stem in stems for wheel in (downloads / "packages").glob(f"{stem}-*.whl")
            ]
            whole = [path for path in (downloads / name).rglob("*") if path.is_file()]
            yield Fetch(name, _megabytes(wheels or whole), model.licence.name)


def _megabytes(files: Iterable[Path]) -> float:
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)
