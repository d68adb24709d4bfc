"""An experiment directory whose scores come from the real scorer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import write_table
from espnet_otreg.files import write_json
from espnet_otreg.scoring.directory import score_directory

WORDS = "uno due tre quattro cinque sei sette otto nove dieci press the key now".split()
# Language, domain and size of what each test set holds.
SETS = {
    "dev": [("en", "core_sounds", 30), ("it", "core_sounds", 30)],
    "test": [("en", "core_sounds", 40), ("it", "core_sounds", 40)],
    "ood": [("en", "drascula", 40), ("it", "pico_synthetic", 40)],
}
# Share of wrong words, in-domain and out-of-domain.
QUALITY = {
    ("pretrain", "ctc"): (0.5, 0.65),
    ("sft", "ctc"): (0.45, 0.6),
    ("sft", "llm"): (0.4, 0.6),
    ("control", "ctc"): (0.45, 0.6),
    ("control", "llm"): (0.35, 0.6),
    ("otreg", "ctc"): (0.45, 0.55),
    ("otreg", "llm"): (0.3, 0.3),
    ("sft", "llm_no_speech"): (1.0, 1.0),
}


@pytest.fixture
def data_dirs(tmp_path: Path) -> dict[str, Path]:
    """Data directories dev, test and ood."""
    made = {}
    for name, parts in SETS.items():
        texts, languages, domains, speakers = {}, {}, {}, {}
        for language, domain, count in parts:
            draw = random.Random(f"{name} {language}")
            for n in range(count):
                key = f"{language}_{domain}_{name}_{n:03d}"
                texts[key] = " ".join(draw.choices(WORDS, k=draw.randint(3, 9)))
                languages[key], domains[key] = language, domain
                speakers[key] = f"{language}_{domain}"
        made[name] = tmp_path / "raw" / name
        for table, values in (
            ("text", texts),
            ("utt2lang", languages),
            ("utt2domain", domains),
            ("utt2spk", speakers),
        ):
            write_table(made[name] / table, values)
    return made


@pytest.fixture
def make_experiment(tmp_path: Path, data_dirs: dict[str, Path]) -> Callable[..., Path]:
    """make_experiment(seeds, leave_out): scores of every system of QUALITY."""

    def make(seeds: tuple[int, ...] = (1, 2), leave_out: tuple[str, ...] = ()) -> Path:
        directory = tmp_path / "exp" / "mini"
        for (arm, mode), (inside, outside) in QUALITY.items():
            for seed in seeds:
                for name, data in data_dirs.items():
                    where = directory / f"{arm}_s{seed}" / mode / name
                    if f"{arm}_s{seed}/{mode}/{name}" in leave_out:
                        continue
                    rate = outside if name == "ood" else inside
                    write_table(where / "text", corrupt(data, rate, f"{arm} {mode} {seed}"))
                    score_directory(data, where / "text").write(where / "scoring" / "score.json")
                    write_json(where / "status.json", {"joint_weights": {"weight": 0.4}})
                run = directory / f"{arm}_s{seed}"
                regularizers = "[{otreg: {weight: 0.3}}]" if arm == "otreg" else "[]"
                (run / "config.yaml").write_text(
                    f"seed: {seed}\nmax_epoch: 3\nnum_iters_per_epoch: 50\n"
                    f"llm_conf: {{model: exp/mini/llm}}\nregularizers: {regularizers}\n"
                    f"output_dir: {run.name}\n"
                )
                (run / "valid.loss.best.pth").write_bytes(b"weights")
        return directory

    return make


def corrupt(data: Path, rate: float, seed: str) -> dict[str, str]:
    """Hypotheses in which about ``rate`` of the words are wrong."""
    noise = random.Random(seed)
    hypotheses = {}
    for line in (data / "text").read_text(encoding="utf-8").splitlines():
        key, *words = line.split()
        hypotheses[key] = " ".join("wrong" if noise.random() < rate else word for word in words)
    return hypotheses
