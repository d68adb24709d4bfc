"""slm.sh from the first to the last stage, killed on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny_llm import SENTENCES, build_tiny_llm
from tiny_recipe import TinyRecipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path) -> TinyRecipe:
    root = tmp_path_factory.mktemp("recipe")
    return TinyRecipe(root / "slm1", tiny_whisper, build_tiny_llm(root / "llm"))


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
    assert "/train: it was interrupted" in resumed.stderr
    assert "data: up to date" in resumed.stderr
    undisturbed = recipe.copy(tmp_path / "undisturbed")

    for stage, name, group in (("pretrain", "pretrain", False), ("train_sft", "sft", True)):
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
    part = f"{exp}/pretrain_s1/ctc/*/logdir/*/part.json"
    kill_when_there_is(recipe, part, "decode", whole_group=False)
    done = succeed(recipe)
    assert f"{exp}/pretrain_s1/decode: it was interrupted" in done.stderr
    hypotheses = (recipe.directory / f"{exp}/otreg_s1/llm/test/text").read_text().splitlines()
    assert len(hypotheses) == sum(map(len, SENTENCES.values()))
    assert "WER" in done.stdout

    succeed(undisturbed, "--stop_stage", "report")
    outcome = recipe.outcome()
    assert {"report/table.txt", "otreg_s1/joint/ood/text", "sft_s1/4epoch.pth"} <= outcome.keys()
    assert outcome == undisturbed.outcome()

    again = succeed(recipe)
    assert started_steps(again.stderr) == []
    assert again.stdout.count("up to date") == 14

    parts = succeed(recipe, "--stage", "stats", "--stop_stage", "stats", "--num_splits", "2")
    assert started_steps(parts.stderr) == [f"{exp}/parts: not done yet"]
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
    assert "exp/tiny/sft_s1: holds a training run with other settings" in refused.stderr
    assert "optim_conf.lr was 0.002, is 0.1; use --force" in refused.stderr
    longer = succeed(recipe, *only_train, "--sft_args", "--max_epoch 5")
    assert started_steps(longer.stderr) == ["exp/tiny/sft_s1: max_epoch was 4, is 5"]
    assert (recipe.directory / "exp/tiny/sft_s1/5epoch.pth").exists()
    after = recipe.run("--stage", "train_arms", "--sft_args", "--max_epoch 5")
    assert "exp/tiny/otreg_s1: holds a training run" in after.stderr
    assert "exp/tiny/sft_s1 was made anew" in after.stderr


def test_arms_that_differ_in_more_than_they_may_are_refused(recipe: TinyRecipe) -> None:
    config = recipe.directory / "conf/tiny/otreg.yaml"
    before = config.read_text()
    config.write_text(before.replace("max_epoch: 4", "max_epoch: 9"))
    refused = recipe.run("--stage", "train_arms", "--stop_stage", "train_arms", "--arms", "otreg")
    config.write_text(before)
    assert refused.returncode == 1
    assert "otreg.yaml: differs from conf/tiny/control.yaml in max_epoch" in refused.stderr
    other = config.with_name("sft_similarity.yaml")
    other.write_text(config.with_name("sft.yaml").read_text() + "grad_clip: 3.0\n")
    refused = recipe.run("--stage", "train_sft", "--stop_stage", "train_sft", "--arms", other.stem)
    other.unlink()
    assert refused.returncode == 1
    assert "differs from conf/tiny/sft.yaml in grad_clip" in refused.stderr


def test_dry_run_of_everything_prints_commands_and_makes_nothing(tmp_path: Path) -> None:
    for model in ("whisper", "llm"):
        (tmp_path / model).mkdir()
    recipe = TinyRecipe(tmp_path / "slm1", tmp_path / "whisper", tmp_path / "llm")
    conf = recipe.directory / "conf/tiny"
    (conf / "pretrain_unpaired.yaml").write_bytes((conf / "pretrain.yaml").read_bytes())
    (conf / "sft_similarity.yaml").write_bytes((conf / "sft.yaml").read_bytes())
    before = sorted(recipe.directory.rglob("*"))
    done = succeed(
        recipe, "--dry_run", "--seeds", "1 2", "--arms", "sft_similarity control otreg", "--full",
        "--pretrainings", "pretrain pretrain_unpaired", "--ngpu", "2", "--num_splits", "3",
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
        "pretrain", "pretrain_unpaired", "sft", "sft_similarity", "control", "otreg",
    ]  # fmt: skip
    for line in trainings:
        unpaired = "--output_dir exp/tiny/pretrain_unpaired_s" in line
        parts = "exp/tiny/unpaired/parts" if unpaired else "exp/tiny/parts"
        assert f"{parts}/text,text,text" in line and f"{parts}/text_shape" in line
        assert "--multiple_iterator true" in line
        assert ("--init_param exp/tiny/pretrain_s" in line) == (
            "--output_dir exp/tiny/sft_" in line
        )
    assert all("--cmd run.pl" in line for line in trainings)
    assert "exp/tiny/otreg_s2" in done.stdout


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
        (("--preset", "huge"), "error: --preset huge: there is no conf/huge/preset.sh"),
        (
            ("--pretrainings", "pretrain sft"),
            "error: --pretrainings sft: there is no pretraining conf/tiny/sft.yaml",
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


def test_presets_hold_one_training_for_all_arms() -> None:
    from espnet_otreg.recipe.facts import require_equal

    presets = sorted({p.resolve() for p in ROOT.glob("egs2/*/slm1/conf/*/control.yaml")})
    assert len(presets) >= 3
    for control in presets:
        pretrain = control.with_stem("pretrain")
        pretrainings = set(control.parent.glob("pretrain*.yaml"))
        ways_of_sft = set(control.parent.glob("sft_*.yaml"))
        stages = {"control", "llm", "sft"}
        configs = set(control.parent.glob("*.yaml")) - pretrainings - ways_of_sft
        arms = [path for path in configs if path.stem not in stages]
        assert {"otreg", "otreg_ctc"} <= {path.stem for path in arms}
        for arm in arms:
            require_equal(control, arm, "regularizers")
        for other in pretrainings:
            require_equal(pretrain, other, "regularizers")
        for other in ways_of_sft:
            require_equal(control.with_stem("sft"), other, "compression_conf")
