"""Corpora in several scripts with noisy hypotheses, data directories, and NIST's tools."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import write_table

# Words of several scripts; the Hindi, Thai and Tamil ones hold combining marks.
WORDS = {
    "en": "press one to hear your message don't hang up please wait for the next agent".split(),
    "hi": "कृपया प्रतीक्षा करें आपका संदेश प्राचीन हिन्दी में है और यह नया नहीं".split(),
    "ru": "нажмите один чтобы прослушать новое сообщение или ещё раз два три".split(),
    "fr": "l'été d'un écho n'est pas là où tu l'as laissé vérifié".split(),
    "es": "está aquí mañana el número que usted marcó no existe más".split(),
    "th": ["สวัสดี", "ครับ", "กด", "หนึ่ง", "เพื่อ", "ฟัง", "ข้อความ", "น้ำ"],
    "zh": ["你好", "世界", "请", "按", "一", "听", "留言", "再见"],
}


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Utterance id -> words, on both sides."""

    language: str
    references: dict[str, list[str]]
    hypotheses: dict[str, list[str]]

    def pairs(self) -> tuple[list[list[str]], list[list[str]]]:
        return list(self.references.values()), list(self.hypotheses.values())


def corrupt(words: list[str], rate: float, vocabulary: list[str], seed: random.Random) -> list[str]:
    """Words with deletions, substitutions and insertions, ``rate`` of them in all."""
    noisy: list[str] = []
    for word in words:
        draw = seed.random() / rate
        if draw < 0.3:
            continue
        noisy.append(seed.choice(vocabulary) if draw < 0.8 else word)
        if 0.8 <= draw < 1.0:
            noisy.append(seed.choice(vocabulary))
    return noisy


@pytest.fixture
def make_corpus() -> Callable[..., Corpus]:
    """make_corpus(language, count, rate, seed): the references depend on language and count."""

    def make(language: str, count: int = 80, rate: float = 0.4, seed: int = 0) -> Corpus:
        words, draw = WORDS[language], random.Random(language)
        noise = random.Random(f"{language} {seed}")
        references = {
            f"{language}-{n:03d}": draw.choices(words, k=draw.randint(1, 12)) for n in range(count)
        }
        hypotheses = {key: corrupt(text, rate, words, noise) for key, text in references.items()}
        return Corpus(language, references, hypotheses)

    return make


@pytest.fixture
def write_corpora(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """write_corpora(corpora, domain, name, speakers): a data directory and a hypothesis file."""

    def write(
        corpora: list[Corpus], domain: str = "core_sounds", name: str = "a", speakers: int = 1
    ) -> tuple[Path, Path]:
        directory, hypothesis = tmp_path / domain, tmp_path / name / domain / "text"
        texts, languages, voices, recognised = {}, {}, {}, {}
        for corpus in corpora:
            for n, (key, words) in enumerate(corpus.references.items()):
                texts[key] = " ".join(words)
                languages[key] = corpus.language
                voices[key] = f"{corpus.language}{n % speakers}"
                recognised[key] = " ".join(corpus.hypotheses[key])
        write_table(directory / "text", texts)
        write_table(directory / "utt2lang", languages)
        write_table(directory / "utt2spk", voices)
        write_table(directory / "utt2domain", dict.fromkeys(texts, domain))
        write_table(hypothesis, recognised)
        return directory, hypothesis

    return write


@pytest.fixture(scope="session")
def sctk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """sctk("sclite", ...) runs a tool of NIST's SCTK and returns its output."""
    directory = tmp_path_factory.mktemp("sctk")  # sc_stats leaves a file per system where it runs
    places = [os.environ.get("SCLITE_DIR"), "/usr/lib/sctk/bin", os.environ.get("PATH")]
    path = os.pathsep.join(place for place in places if place)
    for tool in ("sclite", "sc_stats"):
        if shutil.which(tool, path=path) is None:
            pytest.fail(f"{tool} is missing: apt-get install sctk, or set SCLITE_DIR")

    def run(tool: str, *arguments: str, stdin: str = "") -> str:
        program = shutil.which(tool, path=path)
        assert program is not None
        return subprocess.run(
            [program, *arguments],
            input=stdin,
            cwd=directory,
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout

    return run


@pytest.fixture
def sclite_sum(sctk: Callable[..., str], tmp_path: Path) -> Callable[..., tuple[int, ...]]:
    """sclite_sum(references, hypotheses): reference words, hits, sub, del, ins, errors."""

    def score(references: list[list[str]], hypotheses: list[list[str]]) -> tuple[int, ...]:
        for name, texts in (("ref", references), ("hyp", hypotheses)):
            lines = (f"{' '.join(words)}\t(s-{n:04d})\n" for n, words in enumerate(texts))
            (tmp_path / f"{name}.trn").write_text("".join(lines), encoding="utf-8")
        return score_trn(tmp_path / "ref.trn", tmp_path / "hyp.trn")

    def score_trn(reference: Path, hypothesis: Path) -> tuple[int, ...]:
        output = sctk(
            "sclite", *("-e", "utf-8", "-i", "rm", "-o", "rsum", "stdout"),
            *("-r", str(reference), "trn", "-h", str(hypothesis), "trn", "system"),
        )  # fmt: skip
        line = next(line for line in output.splitlines() if re.match(r"\s*\|\s*Sum\s", line))
        numbers = [int(cell) for cell in line.replace("|", " ").split()[1:]]
        _, words, hits, substitutions, deletions, insertions, errors, _ = numbers
        return words, hits, substitutions, deletions, insertions, errors

    score.trn = score_trn  # type: ignore[attr-defined]
    return score
