"""An experiment directory whose scores come from the real scorer."""

from __future__ import annotations

import functools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_experiment import plan_mini

from espnet_otreg.data.kaldi_dir import write_table
from espnet_otreg.experiment import load_experiment
from espnet_otreg.files import write_json
from espnet_otreg.report.write import Written, write_report
from espnet_otreg.scoring import rows
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


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data directories dev, test and ood."""
    root = tmp_path_factory.mktemp("raw")
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
        made[name] = root / name
        for table, values in (
            ("text", texts),
            ("utt2lang", languages),
            ("utt2domain", domains),
            ("utt2spk", speakers),
        ):
            write_table(made[name] / table, values)
    return made


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory, data_dirs: dict[str, Path]) -> Path:
    """An experiment with the scores of every system of QUALITY, two seeds; only to be read."""
    directory = tmp_path_factory.mktemp("scored") / "exp" / "mini"
    for (arm, mode), (inside, outside) in QUALITY.items():
        for seed in (1, 2):
            for name, data in data_dirs.items():
                where = directory / f"{arm}_s{seed}" / mode / name
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
    plan_mini(directory, seeds=(1, 2))
    (directory / "otreg_s1/analysis").mkdir()
    (directory / "otreg_s1/analysis/plan.png").write_bytes(b"a transport plan")
    return directory


@pytest.fixture(scope="session")
def written(
    scored: Path, data_dirs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """The whole report on it, with pictures."""
    output = tmp_path_factory.mktemp("report")
    data = list(data_dirs.values())
    return write_report(load_experiment(scored), output, "Preset mini", "./run.sh", data)


@pytest.fixture
def make_experiment(scored: Path, tmp_path: Path) -> Callable[..., Path]:
    """make_experiment(seeds, leave_out): a copy of ``scored``, to be changed."""

    def make(seeds: tuple[int, ...] = (1, 2), leave_out: tuple[str, ...] = ()) -> Path:
        directory = tmp_path / "exp" / "mini"
        shutil.copytree(scored, directory)
        for run in directory.glob("*_s*"):
            if int(run.name.rpartition("_s")[2]) not in seeds:
                shutil.rmtree(run)
        for name in leave_out:
            shutil.rmtree(directory / name)
        plan_mini(directory, seeds=seeds)
        return directory

    return make


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals from 200 bootstrap draws, where they are not what is tested."""
    few = functools.partial(rows.bootstrap_rates, replications=200)
    monkeypatch.setattr(rows, "bootstrap_rates", few)


def corrupt(data: Path, rate: float, seed: str) -> dict[str, str]:
    """Hypotheses in which about ``rate`` of the words are wrong."""
    noise = random.Random(seed)
    hypotheses = {}
    for line in (data / "text").read_text(encoding="utf-8").splitlines():
        key, *words = line.split()
        hypotheses[key] = " ".join("wrong" if noise.random() < rate else word for word in words)
    return hypotheses
