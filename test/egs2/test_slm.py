"""slm.sh from the first to the last stage, killed on the way."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bad_input import ForkServer
from tiny_llm import SENTENCES, build_tiny_llm
from tiny_recipe import EXPERIMENT, RUNS, TinyRecipe, write_preset

# Nothing may depend on how the runs of an experiment are called.
PRETRAIN, SFT, CONTROL, OTREG = "wug.1", "blick-2", "toma", "Dax_s3"
NONSENSE = {"pretrain": PRETRAIN, "sft": SFT, "control": CONTROL, "otreg": OTREG}


def renamed(value: object) -> object:
    """A part of the tiny experiment with other names of its runs."""
    if isinstance(value, dict):
        return {
            NONSENSE.get(key, key): inner if key == "set" else renamed(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [renamed(inner) for inner in value]
    name, at, rule = value.partition("@") if isinstance(value, str) else (value, "", "")
    return f"{NONSENSE.get(name, name)}{at}{rule}" if isinstance(value, str) else value


@pytest.fixture(scope="module")
def recipe(
    tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path, fork_server: ForkServer
) -> TinyRecipe:
    root = tmp_path_factory.mktemp("recipe")
    llm = build_tiny_llm(root / "llm")
    recipe = TinyRecipe(root / "slm1", tiny_whisper, llm, fork_server.bin)
    changed = {key: renamed(EXPERIMENT[key]) for key in ("runs", "pretrainings", "arms", "compare")}
    write_preset(recipe.directory / "conf/tiny", tiny_whisper, llm, **changed)
    return recipe


def succeed(recipe: TinyRecipe, *options: str) -> subprocess.CompletedProcess[str]:
    done = recipe.run(*options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def kill_when_there_is(recipe: TinyRecipe, pattern: str, stage: str, whole_group: bool) -> None:
    """Run ``stage`` and kill it with -9 as soon as a file of that name appears."""
    process = recipe.start("--stage", stage, "--stop_stage", stage)
    deadline = time.monotonic() + 300
    while not any(recipe.directory.glob(pattern)):
        assert process.poll() is None, f"stage {stage} ended before {pattern} appeared"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def modification_times(directory: Path) -> dict[Path, int]:
    """Of everything but the locks and the experiment, which every run writes."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        path: path.stat().st_mtime_ns
        for path in files
        if path.name not in (".lock", "experiment.json") and path.parent.name != "config"
    }


def started_steps(output: str) -> list[str]:
    """The steps that ran, with the reason."""
    return re.findall(r"^(\S+: (?!up to date|error).+)$", output, flags=re.MULTILINE)


@pytest.mark.timeout(1200)
def test_every_stage_and_its_resume_after_kill_minus_nine(
    recipe: TinyRecipe, tmp_path: Path
) -> None:
    exp = "exp/tiny"
    succeed(recipe, "--stop_stage", "format")

    kill_when_there_is(recipe, "dump/features/*/train/jobs/1", "features", whole_group=True)
    resumed = succeed(recipe, "--stop_stage", "stats")
    sets = ("train", "dev", "test", "ood")  # encoded by one command
    assert started_steps(resumed.stderr) == [
        f"dump/features/tiny-whisper/{name}: it was interrupted" for name in sets
    ]
    assert "stages 1-3 data, format, synthesis: up to date" in resumed.stdout
    undisturbed = recipe.copy(tmp_path / "undisturbed")

    for stage, name, group in (("pretrain", PRETRAIN, False), ("train_sft", SFT, True)):
        kill_when_there_is(recipe, f"{exp}/{name}_s1/2epoch.pth", stage, group)
        assert not (recipe.directory / f"{exp}/{name}_s1/.done").exists()
        resumed = succeed(recipe, "--stage", stage, "--stop_stage", stage)
        assert started_steps(resumed.stderr) == [f"{exp}/{name}_s1: it was interrupted"]
        log = (recipe.directory / f"{exp}/{name}_s1/train.log").read_text()
        # A training whose driver alone was killed may have ended before it was asked for again.
        ended = "finished: 4 epochs; nothing to do" in log and not group
        assert ended or "The training was resumed" in log
        assert (recipe.directory / f"{exp}/{name}_s1/4epoch.pth").exists()

    succeed(recipe, "--stop_stage", "train_arms")
    part = f"{exp}/{PRETRAIN}_s1/ctc/*/logdir/*/part.json"
    kill_when_there_is(recipe, part, "decode", whole_group=False)
    done = succeed(recipe)
    assert f"{exp}/{PRETRAIN}_s1/decode: it was interrupted" in done.stderr
    hypotheses = (recipe.directory / f"{exp}/{OTREG}_s1/llm/test/text").read_text().splitlines()
    assert len(hypotheses) == sum(map(len, SENTENCES.values()))
    assert "WER" in done.stdout

    succeed(undisturbed, "--stop_stage", "report")
    outcome = recipe.outcome()
    assert {
        "report/table.txt",
        f"{OTREG}_s1/joint/ood/text",
        f"{SFT}_s1/4epoch.pth",
    } <= outcome.keys()
    assert outcome == undisturbed.outcome()

    from espnet_otreg.inference.speech_lm import SpeechLM

    packed = SpeechLM.from_pretrained(recipe.directory / exp / f"{OTREG}_s1/packed/model")
    wav = sorted((recipe.directory / "corpus/test/wavs").iterdir())[0]
    said = packed.transcribe(str(wav), language=wav.name.split("_")[0], mode="llm")
    assert f"{wav.stem} {said}".strip() in [line.strip() for line in hypotheses]

    before = modification_times(recipe.directory)
    again = succeed(recipe)
    assert again.stderr == ""
    (line,) = [line for line in again.stdout.splitlines() if "up to date" in line]
    assert re.search(r"stages 1-15 data, format, .*, report, pack: up to date$", line)
    assert modification_times(recipe.directory) == before

    parts = succeed(recipe, "--stage", "stats", "--stop_stage", "stats", "--num_splits", "2")
    assert started_steps(parts.stderr) == [] and "stage 7 stats: done in" in parts.stdout
    log = (recipe.directory / f"{exp}/{SFT}_s1/train.log").read_text()
    assert "training: 12/12 batches" in log  # what the driver shows while it runs
    features = recipe.directory / "dump/features" / "tiny-whisper/train"
    for name in ("feats.scp", "text", "utt2lang"):
        lines = (features / name).read_text().splitlines()
        for part in range(2):
            written = recipe.directory / exp / "parts" / name / f"split.{part}"
            assert written.read_text().splitlines() == lines[part::2]


@pytest.mark.timeout(600)
def test_changes_are_named_and_never_mixed(recipe: TinyRecipe) -> None:
    only_train = ("--stage", "train_sft", "--stop_stage", "train_sft")
    refused = recipe.run(*only_train, "--sft_args", "--optim_conf lr=0.1")
    assert refused.returncode == 1
    assert f"exp/tiny/{SFT}_s1: holds a training run with other settings" in refused.stderr
    assert "optim_conf.lr was 0.002, is 0.1; use --force" in refused.stderr
    longer = succeed(recipe, *only_train, "--sft_args", "--max_epoch 5")
    assert started_steps(longer.stderr) == [f"exp/tiny/{SFT}_s1: max_epoch was 4, is 5"]
    assert (recipe.directory / f"exp/tiny/{SFT}_s1/5epoch.pth").exists()
    after = recipe.run("--stage", "train_arms", "--sft_args", "--max_epoch 5")
    assert f"exp/tiny/{OTREG}_s1: holds a training run" in after.stderr
    assert f"exp/tiny/{SFT}_s1 was made anew" in after.stderr


def test_dry_run_of_everything_prints_commands_and_makes_nothing(tmp_path: Path) -> None:
    for model in ("whisper", "llm"):
        (tmp_path / model).mkdir()
    recipe = TinyRecipe(tmp_path / "slm1", tmp_path / "whisper", tmp_path / "llm")
    runs = {
        **RUNS,
        "pretrain_again": {"like": "pretrain", "text": "unpaired"},
        "sft_similarity": {"like": "sft", "set": {"compression_conf": {"method": "similarity"}}},
    }
    conf = recipe.directory / "conf/tiny"
    write_preset(conf, tmp_path / "whisper", tmp_path / "llm", runs=runs)
    before = sorted(recipe.directory.rglob("*"))
    done = succeed(
        recipe, "--dry_run", "--seeds", "1 2", "--arms", "sft_similarity control otreg", "--full",
        "--pretrainings", "pretrain pretrain_again", "--ngpu", "2", "--num_splits", "3",
        "--marks", "run.sh",
    )  # fmt: skip
    assert sorted(recipe.directory.rglob("*")) == before
    commands = [line for line in done.stdout.splitlines() if "python -m" in line]
    verbs = set(re.findall(r"-m espnet_otreg\.bin\.(\w+)", done.stdout))
    assert verbs >= {
        "format_data", "extract_features", "token_classes", "slm_train", "slm_decode", "slm_score",
        "slm_analyze", "slm_report", "slm_pack", "whisper_baseline", "unpair_text",
    }  # fmt: skip
    formats = [line for line in commands if "bin.format_data" in line]
    assert len(formats) == 4 and all("--marks run.sh" in line for line in formats)
    trainings = [line for line in commands if "espnet2.bin.launch" in line]
    names = re.findall("--output_dir exp/tiny/(.*?)_s[12] ", "\n".join(trainings))
    assert names[::2] == names[1::2] == [
        "pretrain", "pretrain_again", "sft_similarity", "sft", "control", "otreg",
    ]  # fmt: skip
    for line in trainings:
        unpaired = "--output_dir exp/tiny/pretrain_again_s" in line
        parts = "exp/tiny/unpaired/parts" if unpaired else "exp/tiny/parts"
        assert f"{parts}/text,text,text" in line and f"{parts}/text_shape" in line
        assert "--multiple_iterator true" in line
        assert ("--init_param exp/tiny/pretrain_s" in line) == (
            "--output_dir exp/tiny/sft_" in line
        )
    assert all("--cmd run.pl" in line for line in trainings)
    assert "exp/tiny/otreg_s2" in done.stdout
    # All of it can be pasted into a shell: what is no command is a comment.
    place, exports, *lines = done.stdout.splitlines()
    first = {shlex.split(line)[0] for line in lines if not line.startswith("#")}
    assert first == {"python", "run.pl", "split_scp.pl", "cp", "cat"}
    script = "\n".join(["set -e", place, exports, *(f"type {word}" for word in first)])
    pasted = subprocess.run(["bash", "-c", script], env={}, capture_output=True, text=True)
    assert pasted.returncode == 0, pasted.stderr
    # The first one writes the configurations that the others read.
    script = "\n".join(["set -e", place, exports, lines[0]])
    planned = subprocess.run(["bash", "-c", script], env={}, capture_output=True, text=True)
    assert (planned.returncode, planned.stdout) == (0, ""), planned.stderr
    configs = set(re.findall(r" --config (\S+)", done.stdout))
    assert configs and all((recipe.directory / name).is_file() for name in configs)
    assert subprocess.run(["bash", "-n"], input=done.stdout, text=True).returncode == 0


def test_a_preset_named_like_pretraining_is_none(tmp_path: Path) -> None:
    for model in ("whisper", "llm"):
        (tmp_path / model).mkdir()
    recipe = TinyRecipe(tmp_path / "slm1", tmp_path / "whisper", tmp_path / "llm")
    (recipe.directory / "conf/tiny").rename(recipe.directory / "conf/pretrained")
    done = succeed(recipe, "--dry_run", "--preset", "pretrained", "--arms", "sft control")
    exp = "exp/pretrained"
    [control] = re.findall(rf"slm_train .*--output_dir {exp}/control_s1.*", done.stdout)
    assert f"--init_param {exp}/sft_s1/valid.loss.best.pth" in control
    decoded = re.findall(
        rf"slm_decode --model_dir {exp}/(\w+)_s1 .*--checkpoint (\S+) --modes (.+) --data_dir",
        done.stdout,
    )
    best, modes = "valid.loss.best.pth", "ctc llm joint"
    assert decoded == [("pretrain", "latest.pth", "ctc"), ("sft", best, modes),
                       ("control", best, modes)]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stage", "12", "--stop_stage", "3"), "error: --stage 12 comes after --stop_stage 3"),
        (("--preset", "huge"), "error: --preset huge: there is no conf/huge/experiment.yaml"),
        (
            ("--pretrainings", "pretrain sft"),
            "error: conf/tiny/experiment.yaml: 1 configuration error: (1) --pretrainings: sft is "
            "no pretraining; give it to --arms",
        ),
        (("--marks", "none"), "error: --marks none: no such file; check the path"),
        (("--nj", "0"), "error: --nj 0: not a whole number; use 1 or more"),
        (("--stage", "trainn"), "error: trainn: no such stage; --help lists the stages"),
        (("--arm", "otreg"), "error: unknown option --arm; --help lists the options"),
        (("everything",), "error: everything: not an option; --help lists the options"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    recipe = TinyRecipe(tmp_path / "slm1", tmp_path / "whisper", tmp_path / "llm")
    failed = recipe.run(*options)
    assert failed.returncode == 1
    assert failed.stderr.startswith(message)
    assert len(failed.stderr.splitlines()) == 1
    assert not (recipe.directory / "exp").exists()
