"""What a preset's experiment.yaml becomes, and what is said about the mistakes in it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import block_with
from tiny_recipe import RUNS, WITH_LLM, write_preset

from espnet_otreg.bin import experiment as experiment_command
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.experiment import Pair, load_experiment, training_of
from espnet_otreg.recipe.experiment import Plan, read_experiment
from espnet_otreg.recipe.preset import Preset

MINI = Path(__file__).resolve().parents[2] / "egs2/mini_multi/slm1/conf/mini"


def plan(tmp_path: Path, preset: dict[str, Any], **asked: Any) -> Plan:
    conf = write_preset(tmp_path / "conf", "whisper-base", "train", **preset)
    return read_experiment(conf, tmp_path / "exp/tiny", **asked)


def mistakes(tmp_path: Path, preset: dict[str, Any], **asked: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as found:
        plan(tmp_path, preset, **asked)
    return found.value.errors


def test_the_trainings_in_their_order(tmp_path: Path) -> None:
    """A run that is only needed by others is trained and not decoded."""
    trainings = plan(tmp_path, {}, seeds=["1", "2"], modes=["llm"]).experiment.trainings
    exp = tmp_path / "exp/tiny"
    assert [t.directory.name for t in trainings] == [
        "pretrain_s1", "pretrain_s2", "sft_s1", "sft_s2", "otreg_s1", "otreg_s2"
    ]  # fmt: skip
    assert [t.stage for t in trainings[::2]] == ["pretrain", "train_sft", "train_arms"]
    assert [t.initial for t in trainings[1::2]] == [
        None, exp / "pretrain_s2/latest.pth", exp / "sft_s2/valid.loss.best.pth"
    ]  # fmt: skip
    assert [t.modes for t in trainings[::2]] == [
        ("ctc",), (), ("llm", "llm_shuffled", "llm_no_speech")
    ]  # fmt: skip
    assert [t.checkpoint for t in trainings[::2]] == ["latest.pth"] + 2 * ["valid.loss.best.pth"]


def test_chains_of_any_length(tmp_path: Path) -> None:
    """Preference optimisation after SFT, and few-shot training of one language after many tasks."""
    runs = {
        **RUNS,
        "dpo": {"like": "sft", "after": "sft@averaged", "set": {"optim_conf": {"lr": 1.0e-5}}},
        "rto": {"like": "dpo", "after": "dpo@best", "stage": "train_rl", "checkpoint": "latest"},
        "multi-task": {"like": "sft", "after": "pretrain@latest"},
        "few.shot-ru": {"like": "multi-task", "after": "multi-task@best"},
    }
    stages = ["pretrain", "train_sft", "train_arms", "train_rl"]
    arms = ["rto", "few.shot-ru"]
    experiment = plan(tmp_path, {"runs": runs}, arms=arms, stages=stages).experiment
    exp = tmp_path / "exp/tiny"
    assert {t.name: (t.stage, t.initial and str(t.initial.relative_to(exp)))
            for t in experiment.trainings} == {
        "pretrain": ("pretrain", None),
        "sft": ("train_sft", "pretrain_s1/latest.pth"),
        "multi-task": ("train_sft", "pretrain_s1/latest.pth"),
        "dpo": ("train_arms", "sft_s1/valid.loss.ave.pth"),
        "few.shot-ru": ("train_arms", "multi-task_s1/valid.loss.best.pth"),
        "rto": ("train_rl", "dpo_s1/valid.loss.best.pth"),
    }  # fmt: skip
    names = [t.name for t in experiment.trainings]
    assert all(names.index(a) < names.index(b) for a, b in (("sft", "dpo"), ("dpo", "rto")))


def test_training_goes_on_from_the_first_pretraining(tmp_path: Path) -> None:
    runs = {**RUNS, "other": {"like": "pretrain"}}
    asked = {"pretrainings": ["other", "pretrain"]}
    experiment = plan(tmp_path, {"runs": runs}, **asked).experiment
    assert experiment.training("sft").initial == tmp_path / "exp/tiny/other_s1/latest.pth"


def test_all_runs_of_the_preset_mini(tmp_path: Path) -> None:
    experiment = read_experiment(MINI, tmp_path, arms=["all"], pretrainings=["all"]).experiment
    assert experiment.pretrainings == ("pretrain", "pretrain_divergence", "pretrain_unpaired")
    assert len(experiment.arms) == 12 and experiment.arms[0] == "sft"
    unpaired = [t.name for t in experiment.trainings if t.text == "unpaired"]
    assert unpaired == ["pretrain_unpaired"]
    assert {(p.baseline, p.candidate) for p in experiment.pairs} == {
        ("sft", "control"), ("sft", "sft_similarity"),
        *(("pretrain", other) for other in experiment.pretrainings[1:]),
        *(("control", arm) for arm in experiment.arms[3:]),
    }  # fmt: skip
    assert experiment.primary == experiment.pairs[0] == Pair("control", "otreg", primary=True)


def test_a_run_differs_from_the_one_it_is_like_where_it_says_so() -> None:
    """In every pair of the preset mini; and sections are merged key by key."""
    preset = Preset(MINI)
    for name, values in yaml.safe_load((MINI / "experiment.yaml").read_text())["runs"].items():
        if "like" in values:
            one, other = preset.config(values["like"]), preset.config(name)
            differing = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
            assert differing == set(values["set"]), name
    sft = preset.config("sft")
    assert sft["optim_conf"] == {
        "betas": [0.9, 0.98], "weight_decay": 0.01, "fused": True, "lr": 0.001,
    }  # fmt: skip
    assert sft["scheduler_conf"]["warmup_lr_list"] == [0.0, 0.001, 0.0002]


def test_a_search_changes_one_thing_at_a_time(tmp_path: Path) -> None:
    conf = MINI.with_name("search")
    preset = Preset(conf)
    own = yaml.safe_load((conf / "experiment.yaml").read_text())["runs"]
    plan = read_experiment(conf, tmp_path, arms=list(own))  # which checks every configuration
    reference = plan.configs.pop("reference")
    for name, values in plan.configs.items():
        if name in own:
            differing = [key for key in reference if values[key] != reference[key]]
            assert len(differing) + (preset.runs[name].speech is not None) == 1, name


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    runs = {
        **RUNS,
        "bad name": {},
        "all": {"after": "sft@best"},
        "again": {"title": "OTReg"},
        "typo": {"aftr": "sft@best"},
        "nowhere": {"after": "stf@best"},
        "rule": {"after": "sft@lates"},
        "to": {"after": "fro@best"},
        "fro": {"after": "to@best"},
        "alike": {"like": "alike"},
        "late": {"stage": "train_arm"},
        "early": {"stage": "pretrain", "after": "sft@best"},
        "way": {"modes": ["lmm"]},
        "wrong": {
            "like": "control",
            "set": {"regularizers": [{"otreg": {"epsilom": 0.1}}], "optim": "adamww"},
        },
        "broken": {"after": "sft@best", "set": {"optim_conf": {"lr": "${nothing}"}}},
    }
    compare = [{"baseline": "control", "candidate": "otrge"}]
    found = mistakes(
        tmp_path,
        {"runs": runs, "compare": compare, "decode": {"mode": ["ctc"]}},
        arms=["wrong", "broken", "otrg", "pretrain"], pretrainings=["sft"], seeds=["1", "1", "x"],
        modes=["cct"],
    )  # fmt: skip
    for sentence in (
        "runs.bad name: a name has letters, digits, _, - and . only",
        "runs.all: this word stands for all runs; choose another name",
        "runs.again.title: also that of otreg; choose another",
        "runs.typo.aftr: unknown key; did you mean 'after'?",
        "runs.nowhere.after: there is no run 'stf'; did you mean 'sft'?",
        "runs.rule.after: no rule in 'sft@lates'; did you mean 'latest'?",
        "runs.to.after: goes round in a circle: to -> fro -> to",
        "runs.alike.like: goes round in a circle: alike -> alike",
        "runs.late.stage: no stage 'train_arm'; did you mean 'train_arms'?",
        "runs.early.stage: pretrain comes before train_sft, the stage of sft",
        "runs.way.modes: no way of decoding 'lmm'; did you mean 'llm'?",
        "compare.0.candidate: there is no run 'otrge'; did you mean 'otreg'?",
        "decode.mode: unknown key; did you mean 'modes'?",
        "--arms: there is no run 'otrg'; did you mean 'otreg'?",
        "--arms: pretrain is a pretraining; give it to --pretrainings",
        "--pretrainings: sft is no pretraining; give it to --arms",
        "--seeds: 'x' is no whole number from 0 to 4294967295",
        "--seeds: one stands there twice",
        "--decode_modes: no way of decoding 'cct'; did you mean 'ctc'?",
        "runs.wrong.set: regularizers.otreg.epsilom: unknown key; did you mean 'epsilon'?",
        "runs.wrong.set: optim: ESPnet has no 'adamww'; did you mean 'adamw'?",
    ):
        assert any(error.endswith(sentence) for error in found), (sentence, found)
    assert any("runs.broken.set: cannot be merged" in error for error in found)
    assert len(found) == len(set(found)) == 23, found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("runs: {a: {}, a: {}}", "experiment.yaml:1: the key 'a' is given twice"),
        ("run: {}", "experiment.run: unknown key; did you mean 'runs'?"),
        ("runs: [a]", "experiment.runs: expected dict, found ['a']"),
        ("runs: {a: b}", "runs.a: expected keys and values, found 'b'"),
        ("runs: {a: }\nbase: b.yaml", "b.yaml: no such configuration"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "experiment.yaml").write_text(text)
    with pytest.raises(UserError) as found:
        read_experiment(tmp_path, tmp_path / "exp")
    assert sentence in str(found.value)


def test_it_is_written_down_and_read_again(tmp_path: Path) -> None:
    """Also by another directory's name; a later plan with other arms forgets no training."""
    first = plan(tmp_path, {})
    first.write()
    exp = first.experiment.directory
    assert load_experiment(exp) == first.experiment
    assert yaml.safe_load((exp / "config/otreg.yaml").read_text()) == first.configs["otreg"]
    second = plan(tmp_path, {}, arms=["control"])
    second.write()
    assert [t.name for t in load_experiment(exp).earlier] == ["otreg"]
    moved = exp.rename(tmp_path / "elsewhere")
    training = training_of(moved / "otreg_s1")
    assert training is not None and training.checkpoint == "valid.loss.best.pth"
    assert training.initial == moved / "sft_s1/valid.loss.best.pth"
    assert training_of(moved / "tokens") is None
    (moved / "experiment.json").write_text('{"format": "other"}')
    with pytest.raises(UserError, match="this is no experiment"):
        training_of(moved / "otreg_s1")


def test_the_command_prints_a_plan_and_a_configuration(tmp_path: Path) -> None:
    conf = write_preset(tmp_path / "conf", "whisper-base", "train")
    words = [sys.executable, "-m", "espnet_otreg.bin.experiment"]
    options = ["--conf", str(conf), "--exp", "exp/tiny", "--floor_modes", ""]
    done = subprocess.run(
        [*words, "plan", *options, "--dry_run"],
        cwd=tmp_path, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "setting|encoder|whisper-base",
        "setting|llm|train",
        "setting|augment_copies|0",
        "setting|encoder_layers|",
        f"setting|llm_config|{conf}/llm.yaml",
        "training|pretrain|pretrain|1|exp/tiny/pretrain_s1|exp/tiny/config/pretrain.yaml||latest.pth"
        "|paired|ctc",
        "training|train_sft|sft|1|exp/tiny/sft_s1|exp/tiny/config/sft.yaml|exp/tiny/pretrain_s1/"
        "latest.pth|valid.loss.best.pth|paired|",
        "training|train_arms|otreg|1|exp/tiny/otreg_s1|exp/tiny/config/otreg.yaml|exp/tiny/sft_s1/"
        "valid.loss.best.pth|valid.loss.best.pth|paired|ctc llm joint",
    ]
    assert not (tmp_path / "exp").exists()


def test_the_driver_takes_the_floor_modes_of_the_preset_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = {"decode": {"modes": ["ctc", "llm"], "floor_modes": ["llm_no_speech"]}}
    conf = write_preset(tmp_path / "conf", "whisper-base", "train", **preset)
    driver = (Path(__file__).resolve().parents[2] / "egs2/TEMPLATE/slm1/slm.sh").read_text()
    [default] = re.findall(r"^floor_modes=(\S*)", driver, re.MULTILINE)
    expected = {default: "ctc llm llm_no_speech", "": "ctc llm", "sample": "ctc llm sample"}
    for given, modes in expected.items():
        words = ["plan", "--conf", str(conf), "--exp", "exp", "--floor_modes", given, "--dry_run"]
        monkeypatch.setattr(sys, "argv", ["experiment", *words])
        experiment_command.main()
        assert capsys.readouterr().out.splitlines()[-1].endswith(f"|{modes}"), given


@pytest.mark.parametrize("name", ["a,b", "50%", "a|b", "a\nb"])
def test_directories_that_options_could_not_name(tmp_path: Path, name: str) -> None:
    conf = write_preset(tmp_path / "conf", "whisper-base", "train")
    with pytest.raises(UserError, match=r"with (, or %|\| or a line break)"):
        list(read_experiment(conf, tmp_path / name).lines())


def test_the_example_of_the_documents(tmp_path: Path) -> None:
    example = block_with("experiment.md", "yaml", "runs:")
    conf = write_preset(tmp_path / "conf", "whisper-base", "train")
    (conf / "experiment.yaml").write_text(example)
    experiment = read_experiment(conf, tmp_path / "exp").experiment
    assert [t.name for t in experiment.trainings] == ["pretrain", "sft", "control", "otreg"]
    assert experiment.primary == Pair("control", "otreg", primary=True)


def test_an_arm_is_one_entry(tmp_path: Path) -> None:
    """In a preset outside the package, with a regularizer's settings of its own: it is trained
    like the control, compared with it, and changes nothing else."""
    conf = tmp_path / "conf/mine"
    shutil.copytree(MINI, conf)
    before = read_experiment(conf, tmp_path / "exp", arms=["all"])
    file = conf / "experiment.yaml"
    entry = "  my.arm-2: {like: control, set: {regularizers: [{ctc: {weight: 0.7}}]}}\n"
    file.write_text(file.read_text().replace("\n# A run that is like", f"\n{entry}\n# A run that"))
    after = read_experiment(conf, tmp_path / "exp", arms=["all"])
    [new] = set(after.experiment.trainings) - set(before.experiment.trainings)
    assert set(before.experiment.trainings) < set(after.experiment.trainings)
    assert (new.name, new.title, new.stage) == ("my.arm-2", "my.arm-2", "train_arms")
    assert new.initial == after.experiment.training("control").initial
    control = after.configs["control"]
    assert after.configs["my.arm-2"] == control | {"regularizers": [{"ctc": {"weight": 0.7}}]}
    assert set(after.experiment.pairs) - set(before.experiment.pairs) == {
        Pair("control", "my.arm-2")
    }


def test_naming_another_class_drops_the_options_of_the_former_one(tmp_path: Path) -> None:
    runs = {**RUNS, "own": {"like": "control", "set": {"optim": "sgd"}}}
    conf = write_preset(tmp_path, "whisper-base", "train", runs=runs)
    assert "optim_conf" in Preset(conf).config("control")
    assert "optim_conf" not in Preset(conf).config("own")


def test_a_preset_that_extends_another(tmp_path: Path) -> None:
    """It differs where it says so, its files come first, and it takes part in no other way."""
    big = write_preset(tmp_path / "conf/big", "whisper-base", "train", augment_copies=2)
    (big / "llm.yaml").write_text("layers: 2\n")
    small = tmp_path / "conf/small"
    small.mkdir()
    (small / "experiment.yaml").write_text(
        "extends: big\naugment_copies: 0\nruns: {pretrain: {set: {max_epoch: 1, optim: sgd}}}\n"
    )
    before, after = (read_experiment(conf, tmp_path / "exp") for conf in (big, small))
    assert after.experiment == replace(before.experiment, augment_copies=0)
    expected = {**before.configs["pretrain"], "max_epoch": 1, "optim": "sgd"}
    del expected["optim_conf"]
    assert after.configs == {**before.configs, "pretrain": expected}
    assert after.files == {"llm_config": big / "llm.yaml"}
    (small / "llm.yaml").write_text("layers: 1\n")
    (small / "base.yaml").write_text("optim: sgd\n")
    own = read_experiment(small, tmp_path / "exp")
    assert own.files == {"llm_config": small / "llm.yaml"}
    assert own.configs["sft"].keys() == {"optim", *WITH_LLM}
    smaller = tmp_path / "conf/smaller"
    smaller.mkdir()
    (smaller / "experiment.yaml").write_text("extends: small\narms: [sft]\n")
    experiment = read_experiment(smaller, tmp_path / "exp").experiment
    assert (experiment.augment_copies, experiment.arms, experiment.llm) == (0, ("sft",), "train")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("extends: bgi", "there is no preset 'bgi'; did you mean 'big'?"),
        ("extends: [big]", "there is no preset ['big']"),
        ("extends: own", "goes round in a circle: own -> own"),
        ("extends: round", "goes round in a circle: own -> round -> own"),
        ("extend: big", "experiment.extend: unknown key; did you mean 'extends'?"),
        (
            "extends: big\nruns: {sft: {aftr: x}}",
            "runs.sft.aftr: unknown key; did you mean 'after'?",
        ),
        ("extends: big\nencoder: ", "experiment.encoder: missing"),
    ],
)
def test_mistakes_of_a_preset_that_extends_another(
    tmp_path: Path, text: str, sentence: str
) -> None:
    write_preset(tmp_path / "conf/big", "whisper-base", "train")
    for name, content in {"own": text, "round": "extends: own"}.items():
        (tmp_path / "conf" / name).mkdir()
        (tmp_path / "conf" / name / "experiment.yaml").write_text(content)
    with pytest.raises(ConfigErrors) as found:
        read_experiment(tmp_path / "conf/own", tmp_path / "exp")
    assert sentence in str(found.value)
    assert str(tmp_path / "conf/own/experiment.yaml") in str(found.value)


def _parses_names(path: Path) -> Iterator[str]:
    """Places where code looks at the name of a run: as a pattern, or at a word of the preset."""
    names = set(Preset(MINI).runs) - {"monge_gap", "multigrained"}  # also regularizers
    asking = ("startswith", "endswith", "glob", "fullmatch", "match")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts: list[ast.expr] = []
        pattern = r"(?!)"
        if isinstance(node, ast.Compare):
            parts, pattern = [node.left, *node.comparators], "|".join(names)
            parts += [
                e for part in parts if isinstance(part, ast.Tuple | ast.List) for e in part.elts
            ]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in asking:
                parts, pattern = node.args, r"(pretrain|sft).*|.*_s(\*|\b).*"
        elif isinstance(node, ast.JoinedStr):
            parts, pattern = node.values, ".*_s"
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        found = [text for text in texts if isinstance(text, str) and re.fullmatch(pattern, text)]
        yield from (f"{path.name}:{node.lineno}: {text}" for text in found)


def test_names_of_runs_are_parsed_nowhere() -> None:
    """One function makes the name of a training's directory; otherwise the experiment is asked."""
    root = Path(__file__).resolve().parents[2]
    files = [*root.glob("espnet_otreg/**/*.py"), *root.glob("tools/*.py")]
    found = [place for path in files for place in _parses_names(path)]
    assert [place.split(":")[0] for place in found] == ["experiment.py"], found
    for path in root.glob("egs2/TEMPLATE/slm1/*.sh"):
        code = re.sub(r"^\s*#.*|\s# .*", "", path.read_text(), flags=re.MULTILINE)
        assert not re.search(r"_s(\$|\*|[0-9])|pretrain\*|sft_\*|\.best\.pth", code), path
