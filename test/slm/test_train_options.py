"""ESPnet's options: a wrong number, name or key ends in one sentence before ESPnet is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.slm.espnet_options import option_errors
from espnet_otreg.slm.espnet_signatures import espnet_options, signature, table
from espnet_otreg.tasks.train_config import check_train_arguments

NUMBERS = sorted(
    name
    for name, option in espnet_options().items()
    if option.kind.removesuffix("_or_none") in ("int", "float")
    and name != "wandb_model_log_interval"
)


def test_every_number_of_espnet_is_checked() -> None:
    assert {"batch_size", "valid_batch_size", "batch_bins", "accum_grad", "max_epoch", "patience",
            "num_iters_per_epoch", "num_workers", "keep_nbest_models", "grad_clip", "ngpu",
            "log_interval", "seed", "dist_world_size"} <= set(NUMBERS)  # fmt: skip
    for name in NUMBERS:
        several = espnet_options()[name].several
        for wrong in (-1, float("nan"), float("-inf"), "many", True, [], {"a": 1}, "nan", "-2"):
            value = [wrong] if several else wrong
            (error,) = option_errors({name: value})
            assert error.startswith(f"{name}: "), (name, wrong, error)
        assert option_errors({name: [3] if several else "3"}) == []  # as ESPnet, which converts it


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"batch_size": 0}, "batch_size: must be positive, found 0"),
        ({"accum_grad": 0}, "accum_grad: must be positive, found 0"),
        ({"log_interval": 0}, "log_interval: must be positive, found 0"),
        ({"keep_nbest_models": [2, 0]}, "keep_nbest_models: must be positive, found 0"),
        ({"max_epoch": 2.5}, "max_epoch: expected a whole number, found 2.5"),
        ({"max_epoch": None}, "max_epoch: expected a whole number, found None"),
        ({"grad_clip": float("inf")}, None),
        ({"num_workers": 0, "ngpu": 0, "patience": "none", "seed": 0}, None),
        ({"seed": 5_000_000_000}, "seed: must be at most"),
        ({"use_amp": "maybe"}, "use_amp: expected true or false, found 'maybe'"),
        ({"train_dtype": "bfloat16"}, "train_dtype: unknown 'bfloat16'; did you mean 'float16'"),
        ({"train_dtype": 16}, "YAML reads 16 as a number"),
        ({"iterator_type": "sequnce"}, "ESPnet has no 'sequnce'; did you mean 'sequence'?"),
        ({"iterator_type": "chunk"}, "chunk would part speech and transcript"),
        ({"valid_iterator_type": "none"}, "none would part speech and transcript"),
        ({"batch_type": "catbel"}, "catbel needs iterator_type: category"),
        ({"batch_type": "catbel", "iterator_type": "category"}, None),
        ({"train_shape_file": ["a"]}, "batch_type: folded, which is ESPnet's default, needs one"),
        ({"train_shape_file": ["a"], "fold_length": [80]}, None),
        ({"fold_length": 80}, "fold_length: expected a list, found 80"),
        ({"optim": False}, "YAML reads no, off and false as False"),
        ({"optim": "lbfgs"}, "optim: lbfgs needs the loss again"),
        ({"exclude_weight_decay": True}, "exclude_weight_decay: not with this task"),
        ({"optim_conf": {"lr": 0}}, "optim_conf.lr: must be positive, found 0"),
        ({"optim_conf": {"lr": float("nan")}}, "optim_conf.lr: must be finite"),
        ({"optim_conf": {"lr": [0.1]}}, "optim_conf.lr: expected a number, found [0.1]"),
        ({"optim_conf": {"lr": "high"}}, "optim_conf.lr: expected a number, found 'high'"),
        ({"optim_conf": {"lr": "1e-4"}}, "'1e-4' is text for YAML, write 1.0e-4"),
        ({"optim_conf": {"betas": [0.9, "9e-1"]}}, "optim_conf.betas: '9e-1' is text for YAML"),
        ({"optim_conf": {"weight_decay": -0.1}}, "weight_decay: must not be negative"),
        ({"optim": "adamw", "optim_conf": {"weigth_decay": 0.1}}, "did you mean 'weight_decay'?"),
        ({"optim": "sgd", "optim_conf": {"betas": [0, 1]}}, "betas: sgd does not take it"),
        ({"scheduler": "warmuplr", "scheduler_conf": {"warmup_step": 9}},
         "scheduler_conf.warmup_step: warmuplr does not take it; did you mean 'warmup_steps'?"),
        ({"scheduler": "steplr"}, "scheduler_conf.step_size: missing; steplr needs it"),
        ({"scheduler": "cosine_annealing"}, "scheduler: ESPnet has no 'cosine_annealing'"),
        ({"scheduler": "ReduceLROnPlateau", "scheduler_conf": {"last_epoch": -1}},
         "reducelronplateau does not take it".replace("reducelronplateau", "ReduceLROnPlateau")),
        ({"scheduler": "warmuplr", "scheduler_conf": {"last_epoch": -1}}, None),
        ({"max_cache_size": "much"}, "max_cache_size: expected a size such as 500MB, found 'much'"),
        ({"max_cache_size": "2 GB", "valid_max_cache_size": "none"}, None),
        ({"early_stopping_criterion": ["valid", "loss"]}, "early_stopping_criterion: expected ["),
        ({"val_scheduler_criterion": "loss"}, "val_scheduler_criterion: expected ["),
        ({"use_amp": True, "use_tf32": "true"}, "use_tf32: not with use_amp"),
    ],
)  # fmt: skip
def test_one_option(values: dict[str, Any], says: str | None) -> None:
    errors = option_errors(values)
    if says is None:
        assert errors == []
    else:
        assert len(errors) == 1 and says in errors[0], errors


def test_the_signature_of_every_optimiser_and_schedule_is_found_or_its_package_is_missing() -> None:
    for kind in ("optim", "scheduler"):
        names = table("tasks/abs_task.py", f"{kind}_classes")
        assert len(names) > 15
        for name in names:
            assert signature(kind, name) or name.startswith("fused"), name  # those of apex


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--batch_size", "0"), "batch_size: must be positive, found 0"),
        (("--optim_conf", "lr=1e-4"), "optim_conf.lr: '1e-4' is text for YAML, write 1.0e-4"),
        (("--optim_conf", "{lr: -1.0}"), "optim_conf.lr: must be positive, found -1.0"),
        (("--llm_conf", "{lora_rnk: 2}"), "did you mean 'lora_rank'?"),
        (("--llm_conf", "lora_rank.x=2"), "llm_conf.lora_rank: expected int, found {'x': 2}"),
        (("--projector", "stack_mpl"), "did you mean 'stack_mlp'?"),
        (("--encoder", "hf_wisper"), "did you mean 'hf_whisper'?"),
        (("--regularizers", "[{otrge: {}}]"), "did you mean 'otreg'?"),
        (("--overwrite", "perhaps"), "overwrite: expected true or false"),
        (("--llm_conf", "lora"), "--llm_conf: expected KEY=VALUE, found 'lora'"),
        (("--batch_size",), "command line: argument --batch_size: expected one argument"),
    ],
)
def test_the_command_line_is_checked_like_the_file(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError) as found:
        check_train_arguments(["--llm_conf", "model=hub/llm", *words], data=False)
    assert says in str(found.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optim_conf: {lr: 0.1, lr: 0.2}", ":1: the key 'lr' is given twice, first in line 1"),
        ("seed: 1\noptim: sgd\nseed: 2", ":3: the key 'seed' is given twice, first in line 1"),
        ("regularizers:\n- ctc:\n    weight: 1\n    weight: 2", ":4: the key 'weight' is given tw"),
        ("a: 1\n'a': 2", ":2: the key 'a' is given twice"),
        ("prompt_conf:\n  templates:\n    no: '{speech}'", ':3: YAML reads the key no as a truth '
         'value; write "no" in quotes'),
        ("prompt_conf: {templates: {on: '{speech}'}}", 'write "on" in quotes'),
        ("prompt_conf: {templates: {~: '{speech}'}}", "the key ~ as nothing"),
        ("prompt_conf: {templates: {2024-01-01: '{speech}'}}", "as a date"),
        ("1: a", "YAML reads the key 1 as a number"),
        ("max_epoch: 010", ':1: YAML reads 010 as 8; write 8, or "010" in quotes if it is a text'),
        ("seed: 1\nmax_epoch: 12:30", ":2: YAML reads 12:30 as 750; write 750"),
        ("optim_conf: {lr: -1:30.5}", ":1: YAML reads -1:30.5 as -90.5"),
        ("llm_conf: {lora_rank: '08'}", "expected int, found '08'; '08' is text for YAML, write 8"),
        ("llm_conf: &a {model: x, lora_targets: [*a]}", ":1: *a is inside of itself; write it out"),
        ("prompt_conf:\n  templates:\n    default: {speech}", "YAML reads {speech} as a mapping"),
        ("llm_conf: {lora_targets: q_proj}", "lora_targets: expected list, found 'q_proj'"),
        ("? [a]\n: b", "a key that is a list or a mapping; write a name"),
    ],
)  # fmt: skip
def test_keys_of_yaml(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as found:
        check_train_arguments(["--config", str(path)], data=False)
    assert str(path) in str(found.value) and says in str(found.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"prompt_conf": {"stop": [False]}}, "YAML reads no, off and false as False"),
        ({"prompt_conf": {"templates": {"default": True}}}, "YAML reads yes, on and true as True"),
        ({"llm_conf": {"model": 7}}, "YAML reads 7 as a number"),
        ({"llm_conf": {"model": "hub/llm", "dtype": 16}}, "YAML reads 16 as a number"),
        ({"overwrite": True}, "overwrite: not in a file"),
        ({"encoder": False}, "encoder: expected a name, found False; YAML reads no"),
        ({"freeze": [True]}, "YAML reads yes, on and true"),
        ({"regularizers": [{"otreg": {"epsilon": "1e-2"}}]}, "write 1.0e-2"),
        ({"model_conf": {"label_smoothing": "1e-1"}}, "write 1.0e-1"),
        ({"model_conf": {"cross_entropy_weight": float("nan")}}, "must be finite, found nan"),
        ({"readout_conf": {"initial_scale": float("nan")}}, "must be positive, found nan"),
        ({"readout_conf": {"initial_scale": float("inf")}}, "must be finite, found inf"),
    ],
)
def test_values_that_yaml_reads_otherwise(
    tmp_path: Path, values: dict[str, Any], says: str
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"llm_conf": {"model": "hub/llm"}, **values}))
    with pytest.raises(ConfigErrors) as found:
        check_train_arguments(["--config", str(path)], data=False)
    assert len(found.value.errors) == 1 and says in str(found.value)


def test_anchors_and_merged_keys_are_what_they_are_for_espnet(tmp_path: Path) -> None:
    from espnet_otreg.files import read_yaml

    text = """
base: &base {lr: 0.1, no_key: [1, 2]}
one: {<<: *base, lr: 0.2}
two:
  <<: [*base, {eps: 1.0e-8}]
three: *base
four: {"no": yes, "1": 1_000}
"""
    (tmp_path / "a.yaml").write_text(text)
    values = read_yaml(tmp_path / "a.yaml")
    assert values == yaml.safe_load(text)
    assert values["one"]["lr"] == 0.2 and values["two"]["eps"] == 1e-8
