"""The publishers of large corpora: licence, files, and how a corpus comes to be on the disk."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet_otreg.data import fleurs, mls
from espnet_otreg.data.download import check_md5, check_or_record, download
from espnet_otreg.data.tsv import read_lines
from espnet_otreg.data.unpack import is_unpacked, unpack
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

OPENSLR = "https://www.openslr.org/resources/12"
MLS = "https://dl.fbaipublicfiles.com/mls"
HUB = "https://huggingface.co"
# Commits of the hub's data sets that hold the publisher's own tables and archives.
FLEURS_REVISION = "70bb2e84b976b7e960aa89f1c648e09c59f894dd"
VOXPOPULI_REVISION = "4ca6fb6d6bb37af66991d05974e6abcadd4b181e"
# https://www.openslr.org/resources/12/md5sum.txt
LIBRISPEECH_MD5 = {
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
}
LICENCES = {
    "commonvoice": "CC0-1.0: Mozilla Common Voice and its volunteers; do not identify speakers",
    "fleurs": "CC BY 4.0: FLEURS, Google, https://arxiv.org/abs/2205.12446",
    "librispeech": "CC BY 4.0: LibriSpeech, V. Panayotov et al., https://www.openslr.org/12",
    "mls": "CC BY 4.0: Multilingual LibriSpeech, V. Pratap et al., https://www.openslr.org/94",
    "voxpopuli": "CC0-1.0, and https://www.europarl.europa.eu/legal-notice/en/ for the speech: "
    "VoxPopuli, C. Wang et al., https://github.com/facebookresearch/voxpopuli",
}


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file of a publisher.

    Attributes:
        url: where it is.
        path: where it goes, below the directory of the corpus.
        md5: as its publisher gives it; empty if it gives none.
        is_tree: an archive of the corpus's own tree, which is unpacked at once.
    """

    url: str
    path: str
    md5: str = ""
    is_tree: bool = False


def _hub(dataset: str, revision: str, path: str) -> RemoteFile:
    """A file of a data set of the Hugging Face hub, or of the mirror that HF_ENDPOINT names."""
    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    return RemoteFile(f"{endpoint}/datasets/{dataset}/resolve/{revision}/{path}", path)


def _mls_files(languages: Iterable[str], root: Path) -> Iterator[RemoteFile]:
    sums = root / "md5sum.txt"
    if not sums.exists():
        download(f"{MLS}/md5sum.txt", sums)
    pairs = (line.split() for _, line in read_lines(sums))
    known = {words[-1].lstrip("*"): words[0] for words in pairs}
    for language in languages:
        name = f"mls_{mls.NAMES[language]}_opus.tar.gz"
        if name not in known:
            raise UserError(f"no sum of {name}", str(sums), "remove it to fetch it again")
        yield RemoteFile(f"{MLS}/{name}", name, known[name], is_tree=True)


def _voxpopuli_files(
    languages: Iterable[str], subsets: Iterable[str], root: Path
) -> Iterator[RemoteFile]:
    def hub(path: str) -> RemoteFile:
        return _hub("facebook/voxpopuli", VOXPOPULI_REVISION, path)

    counts = root / "data/n_files.json"
    if not counts.exists():
        download(hub("data/n_files.json").url, counts)
    parts = read_json(counts)
    for subset in subsets:
        for language in languages:
            yield hub(f"data/{language}/asr_{subset}.tsv")
            for number in range(parts[language][subset]):
                yield hub(f"data/{language}/{subset}/{subset}_part_{number}.tar.gz")


def remote_files(
    corpus: str, languages: Iterable[str], subsets: Iterable[str], root: str | Path
) -> list[RemoteFile]:
    """What has to be fetched for some languages and subsets of a corpus.

    Args:
        corpus: fleurs, librispeech, mls or voxpopuli.
        languages: those that the corpus has.
        subsets: those that the corpus has.
        root: directory of the corpus; gets the publisher's own lists, where it has some.

    Raises:
        UserError: if such a list cannot be fetched.
    """
    languages, subsets, root = list(languages), list(subsets), Path(root)
    if corpus == "librispeech":
        return [
            RemoteFile(f"{OPENSLR}/{s}.tar.gz", f"{s}.tar.gz", LIBRISPEECH_MD5[s], is_tree=True)
            for s in subsets
        ]
    if corpus == "mls":
        return list(_mls_files(languages, root))
    if corpus == "voxpopuli":
        return list(_voxpopuli_files(languages, subsets, root))
    return [
        _hub("google/fleurs", FLEURS_REVISION, f"data/{fleurs.CODES[language]}/{name}")
        for language in languages
        for subset in subsets
        for name in (f"{subset}.tsv", f"audio/{subset}.tar.gz")
    ]


def _fetch(file: RemoteFile, root: Path) -> None:
    target = root / file.path
    if file.is_tree and is_unpacked(target.name, root):
        return  # its archive is not needed any more
    if not target.exists():
        download(file.url, target)
    if file.md5:
        check_md5(target, file.md5)
    if file.is_tree:
        unpack(target, root)


def obtain_corpus(
    corpus: str,
    languages: Iterable[str],
    subsets: Iterable[str],
    download_dir: str | Path,
    data_root: str | Path = "",
    jobs: int = 1,
) -> Path:
    """The directory of a corpus: an existing copy, or one that is fetched now.

    A download is checked against the publisher's MD5 sum. Where it gives none, the sha256 is
    recorded when a file first comes, and every later run compares with it.

    Args:
        corpus: its name; those of other packages than ours are taken from ``data_root`` only.
        languages: those that the corpus has.
        subsets: those that the corpus has.
        download_dir: gets ``<corpus>/``.
        data_root: is taken as it is if it has a directory ``<corpus>``.
        jobs: files fetched at a time.

    Raises:
        UserError: if it cannot be had.
    """
    if data_root and (copy := Path(data_root) / corpus).is_dir():
        return copy
    if corpus not in LICENCES:
        raise UserError(
            f"no copy of {corpus}, which cannot be fetched",
            f"{data_root or '--data_root'}/{corpus}",
            "put one there, as the package says that brings it",
        )
    if corpus == "commonvoice":
        raise UserError(
            "Common Voice cannot be fetched without an account",
            f"{data_root or '--data_root'}/commonvoice",
            "download its languages from https://datacollective.mozillafoundation.org and unpack "
            "them there: commonvoice/cv-corpus-VERSION-DATE/LANGUAGE/clips",
        )
    root = Path(download_dir) / corpus
    files = remote_files(corpus, languages, subsets, root)
    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(lambda file: _fetch(file, root), files))
    for file in files:
        if not file.md5:
            check_or_record(root / file.path, root)
    return root
