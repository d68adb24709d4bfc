"""Small copies of four corpora with the tiny LLM's sentences, and the real recipe around them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from published_corpora import (
    write_commonvoice,
    write_fleurs,
    write_mls,
    write_voxpopuli,
)
from tiny_llm import SENTENCES
from tiny_recipe import write_preset

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"es": ("spanish", "es_419"), "fr": ("french", "fr_fr")}
# Of the sentences of a language, the last one is tested and never trained on.
NEW = -1


def write_corpora(root: Path) -> Path:
    """MLS (train, dev, test), and test sets of Common Voice, FLEURS and VoxPopuli."""
    for language, (name, code) in LANGUAGES.items():
        known, new = SENTENCES[language][:NEW], SENTENCES[language][NEW]
        sets = {"train": [*known, *known], "dev": known, "test": [known[0], new]}
        for speaker, (subset, texts) in enumerate(sets.items(), start=1):
            keyed = {f"{speaker}_7_{n:06d}": text for n, text in enumerate(texts)}
            write_mls(root / "mls", f"mls_{name}", subset, keyed)
        clips = [("c" * 128, f"common_voice_{language}_{n}.mp3", t) for n, t in enumerate(known)]
        release = root / "commonvoice/cv-corpus-17.0-2024-03-15"
        write_commonvoice(release, language, "test", clips)
        write_fleurs(root / "fleurs", code, "test", [("1", "10.wav", new), ("1", "11.wav", new)])
        rows = [("20100210-x_1", known[0].title(), known[0], "8"), ("20120210-x_2", "", new, "9")]
        write_voxpopuli(root / "voxpopuli", language, "test", rows)
    return root


class MultiDomainRecipe:
    """A copy of egs2/multi_domain with the tiny preset and corpora beside it."""

    def __init__(self, root: Path, encoder: Path, llm: Path) -> None:
        self.directory = root / "egs2/multi_domain/slm1"
        shutil.copytree(ROOT / "egs2/multi_domain/slm1", self.directory)
        (root / "egs2/TEMPLATE").symlink_to(ROOT / "egs2/TEMPLATE")
        self.corpora = write_corpora(root / "corpora")
        write_preset(self.directory / "conf/tiny", encoder, llm)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """The recipe's own run.sh; the Python is the one that runs the tests."""
        words = [
            str(self.directory / "run.sh"), "--preset", "tiny", "--data_root", str(self.corpora),
            "--data_args", "--languages es,fr --train_subset train", "--nj", "1", "--limit", "50",
            "--floor_modes", "", "--decode_modes", "llm", *options,
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OTREG_VENV": str(self.directory / "none"),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(words, env=environment, capture_output=True, text=True)
