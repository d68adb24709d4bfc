"""A package outside the repository brings a corpus by entry point, with one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile
from pages import block_with

from espnet_otreg.bin import prepare_corpus, prepare_sets
from espnet_otreg.data.corpora import published_corpora
from espnet_otreg.data.kaldi_dir import read_data_dir
from espnet_otreg.errors import UserError

from .conftest import tone

MODULE = block_with("extending.md", "python", "PublishedCorpus(") + "SOMETHING = 1\n"


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install(entry points): the package on the path, as pip would leave it."""

    def install(*entries: str) -> None:
        site = tmp_path / "site"
        (site / "village-1.0.dist-info").mkdir(parents=True)
        (site / "village.py").write_text(MODULE)
        (site / "village-1.0.dist-info/METADATA").write_text("Name: village\nVersion: 1.0\n")
        lines = "\n".join(("[espnet_otreg.corpora]", *entries))
        (site / "village-1.0.dist-info/entry_points.txt").write_text(lines)
        monkeypatch.syspath_prepend(site)

    yield install
    sys.modules.pop("village", None)


def test_it_is_prepared_and_made_into_sets_like_ours(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("village = village:VILLAGE")
    corpus = tmp_path / "copies/village/it"
    corpus.mkdir(parents=True)
    for subset, said in {"train": ["uno", "due"], "test": ["tre", "uno"]}.items():
        rows = [f"{subset}{n}.wav\t{subset}\t{text}\n" for n, text in enumerate(said)]
        (corpus / f"{subset}.tsv").write_text("".join(rows))
        for n in range(len(said)):
            soundfile.write(corpus / f"{subset}{n}.wav", tone(0.2, 16000), 16000)
    sets = ["--train", "village:train", "--dev", "village:test", "--test", "village:test"]
    places = ["--data_root", str(tmp_path / "copies"), "--output_dir", str(tmp_path / "data")]
    command = ["prepare_sets", *sets, "--ood", "village:test", "--languages", "it", *places]
    monkeypatch.setattr("sys.argv", command)
    prepare_sets.main()
    made = {name: read_data_dir(tmp_path / "data" / name) for name in ("train", "test", "ood")}
    assert [u.text for u in made["train"]] == ["uno", "due"]
    assert [u.domain for u in made["ood"]] == ["village", "village"]
    monkeypatch.setattr("sys.argv", [
        "prepare_corpus", "--corpus", "village", "--language", "Italian", "--subset", "test",
        "--corpus_dir", str(corpus.parent), "--output_dir", str(tmp_path / "one"),
    ])  # fmt: skip
    prepare_corpus.main()
    assert [u.text for u in read_data_dir(tmp_path / "one")] == ["tre", "uno"]
    monkeypatch.setattr("sys.argv", [*command[:-4], "--data_root", str(tmp_path / "elsewhere")])
    with pytest.raises(UserError, match="village: no copy of village, which cannot be fetched"):
        prepare_sets.main()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("village = village:NOTHING", "entry point village .* cannot be loaded"),
        ("village = village:SOMETHING", "village:SOMETHING is no PublishedCorpus"),
        ("mls = village:VILLAGE", "entry point mls .* there is a corpus of that name already"),
    ],
)
def test_what_is_no_corpus_is_refused(install: Install, entry: str, sentence: str) -> None:
    install(entry)
    with pytest.raises(UserError, match=sentence):
        published_corpora()
