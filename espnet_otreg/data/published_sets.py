"""From the sets of publishers to those of a recipe: train, dev, test and ood."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_otreg.data.clips import require_known
from espnet_otreg.data.combine import pool
from espnet_otreg.data.corpora import published_corpora
from espnet_otreg.data.kaldi_dir import Utterance, read_data_dir, write_data_dir
from espnet_otreg.data.overlap import format_overlaps, sentence_overlap
from espnet_otreg.data.prep_log import format_prep_logs
from espnet_otreg.data.publishers import obtain_corpus
from espnet_otreg.data.split import fingerprint, lowest_hash
from espnet_otreg.files import read_json, write_json


@dataclasses.dataclass(frozen=True)
class Part:
    """One subset of one corpus in one language."""

    corpus: str
    subset: str
    language: str

    @property
    def name(self) -> str:
        """Name of its data directory."""
        return f"{self.corpus}_{self.subset}_{self.language}"


def parse_parts(
    sources: Sequence[str], languages: Sequence[str], need_all: bool = True
) -> list[Part]:
    """The parts that make a set.

    Args:
        sources: ``CORPUS:SUBSET``.
        languages: canonical codes.
        need_all: every corpus has to have every language; else one of them is enough.

    Raises:
        UserError: if a source is unknown or lacks languages.

    >>> parse_parts(["voxpopuli:test"], ["de", "pt"], need_all=False)
    [Part(corpus='voxpopuli', subset='test', language='de')]
    """
    parts, corpora = [], published_corpora()
    for source in sources:
        name, _, subset = source.partition(":")
        require_known(name, corpora, "corpus", "the house")
        corpus = corpora[name]
        require_known(subset, corpus.subsets, "subset", name)
        found = [language for language in languages if corpus.has(language)]
        absent = [language for language in languages if not corpus.has(language)]
        if absent and (need_all or not found):
            require_known(absent[0], corpus.languages or (), "language", name)
        parts += [Part(name, subset, language) for language in found]
    return parts


def prepare_parts(
    parts: Sequence[Part],
    output_dir: str | Path,
    download_dir: str | Path,
    data_root: str | Path = "",
    jobs: int = 1,
) -> dict[Part, Path]:
    """Obtain the corpora and make the data directory of every part.

    Args:
        parts: each once or several times.
        output_dir: gets ``<part>/``.
        download_dir: see :func:`espnet_otreg.data.publishers.obtain_corpus`.
        data_root: the same.
        jobs: files fetched or looked at at a time.

    Raises:
        UserError: if a corpus cannot be had or is not as published.
    """
    directories: dict[Part, Path] = {}
    corpora = published_corpora()
    for name in dict.fromkeys(part.corpus for part in parts):
        own = list(dict.fromkeys(part for part in parts if part.corpus == name))
        print(f"{name}\n  {corpora[name].licence}", flush=True)
        corpus_dir = obtain_corpus(
            name,
            dict.fromkeys(part.language for part in own),
            dict.fromkeys(part.subset for part in own),
            download_dir,
            data_root,
            jobs,
        )
        for part in own:
            directories[part] = Path(output_dir) / part.name
            corpora[name].prepare(corpus_dir, directories[part], part.language, part.subset, jobs)
    return directories


def pool_sets(
    sets: Mapping[str, Sequence[Path]], output_dir: str | Path, train_limit: int = 0
) -> str:
    """Write ``<output_dir>/<set>``, ``prep_log.json`` and ``overlap.json``.

    The publishers' test sets stay whole, so that results compare with others'; the utterances
    whose text is in the training set are counted and listed instead.

    Args:
        sets: name -> prepared data directories; ``train`` is one of the names.
        output_dir: gets the sets.
        train_limit: utterances of each corpus and language in ``train``, lowest sha256 of the id
            first; 0 takes all.

    Returns:
        The tables of what was dropped and of what the sets share.

    Raises:
        UserError: if two utterances have one id, or a set has none.
    """
    output_dir = Path(output_dir)
    pooled: dict[str, list[Utterance]] = {
        name: pool(map(read_data_dir, directories)) for name, directories in sets.items()
    }
    pooled["train"] = lowest_hash(pooled["train"], train_limit)
    for name, utterances in pooled.items():
        write_data_dir(output_dir / name, utterances)
    evaluated = {name: utterances for name, utterances in pooled.items() if name != "train"}
    overlaps = sentence_overlap(pooled["train"], evaluated)
    write_json(output_dir / "overlap.json", [dataclasses.asdict(entry) for entry in overlaps])
    logs = [directory / "prep_log.json" for paths in sets.values() for directory in paths]
    write_json(
        output_dir / "prep_log.json",
        {
            "corpora": [read_json(log) for log in logs],
            "sets": {name: fingerprint(utterances) for name, utterances in pooled.items()},
        },
    )
    counts = ", ".join(f"{name} {len(utterances)}" for name, utterances in pooled.items())
    return f"{format_prep_logs(logs)}\n\n{format_overlaps(overlaps)}\n\nutterances: {counts}"
