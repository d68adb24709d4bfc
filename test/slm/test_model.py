"""The whole model: padding, weights of regularizers, checkpoints, and what goes wrong."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.errors import UserError
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.regularizers.base import RESERVED_STATISTICS
from espnet_otreg.regularizers.otreg_loss import OTRegularizer
from espnet_otreg.slm.checkpoint import load_checkpoint
from espnet_otreg.slm.model import SpokenLanguageModel

Build = Callable[..., SpokenLanguageModel]
REGULARIZERS = [{"otreg": {"weight": 0.3}}, {"ctc": {"weight": 0.2}}]


@pytest.fixture
def build(tiny_llm: Path, tiny_classes: Path, tiny_whisper: Path) -> Build:
    def make(whisper: bool = False, seed: int = 0, **changes: Any) -> SpokenLanguageModel:
        values: dict[str, Any] = {
            "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
            "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
            "llm_conf": {"model": str(tiny_llm), "adapter": "lora", "lora_rank": 2},
            "readout_conf": {"classes": str(tiny_classes)},
            "regularizers": REGULARIZERS,
        }
        if whisper:
            values |= {"encoder": "hf_whisper", "encoder_conf": {"model": str(tiny_whisper)}}
        torch.manual_seed(seed)
        return build_training_model(values | changes)

    return make


def _batch(speech: list[torch.Tensor], texts: list[list[int]]) -> dict[str, Any]:
    language = torch.tensor([[105, 116]] * len(speech))
    return {
        "speech": pad_sequence(speech, batch_first=True),
        "speech_lengths": torch.tensor([len(x) for x in speech]),
        "text": pad_sequence([torch.tensor(t) for t in texts], batch_first=True, padding_value=-1),
        "text_lengths": torch.tensor([len(t) for t in texts]),
        "language": language,
        "language_lengths": torch.full((len(speech),), 2),
        "utt_id": [f"utterance{n}" for n in range(len(speech))],
    }


def _features(*lengths: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(length, 6) for length in lengths]


# One frame with one token, a long one, and repeated tokens.
TEXTS = [[30], [20, 21, 22, 23, 40, 41], [30, 30]]


def _loss_and_gradients(
    model: SpokenLanguageModel, speech: list[torch.Tensor], texts: list[list[int]], own: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of utterance ``own`` of the batch, and its gradient on all trainable parameters."""
    batch = _batch(speech, texts)
    embeddings = model.encode(batch["speech"], batch["speech_lengths"])
    logits, targets, utterance = model.token_losses(
        model.compress(embeddings), ["it"] * len(texts), texts
    )
    nll = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    loss = nll[utterance == own].sum()
    alignment = model.alignment_batch(embeddings, batch["text"], batch["text"] != -1)
    for named in model.config.regularizers:
        # Mean over utterances times their number, less all others' = this utterance's own value.
        keep = torch.arange(len(texts)) != own
        total = named.regularizer(alignment).value * len(texts)
        if keep.any():
            others = {
                name: getattr(alignment, name)[keep]
                for name in ("speech", "speech_mask", "text", "text_ids", "text_mask")
            }
            rest = type(alignment)(**{**vars(alignment), **others})
            total = total - named.regularizer(rest).value * int(keep.sum())
        loss = loss + total
    model.zero_grad()
    loss.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return loss.detach(), torch.cat(gradients)


@pytest.mark.parametrize("encoder", ["precomputed", "hf_whisper"])
@pytest.mark.parametrize("own", [0, 1, 2])
def test_an_utterance_has_the_same_loss_and_gradient_alone_and_padded(
    build: Build, encoder: str, own: int
) -> None:
    model = build(whisper=encoder == "hf_whisper").double().eval()
    torch.manual_seed(1)
    if encoder == "hf_whisper":
        speech = [0.1 * torch.randn(n, dtype=torch.float64) for n in (320, 16000, 5000)]
    else:
        speech = [x.double() for x in _features(2, 26, 11)]
    padded = _loss_and_gradients(model, speech, TEXTS, own)
    alone = _loss_and_gradients(model, speech[own : own + 1], TEXTS[own : own + 1], 0)
    torch.testing.assert_close(padded[0], alone[0], rtol=1e-5, atol=1e-6)
    error = (padded[1] - alone[1]).norm() / alone[1].norm()
    assert float(error) < 1e-5


def test_cross_entropy_is_on_transcript_and_eos_only(build: Build) -> None:
    model = build(regularizers=[]).eval()
    batch = _batch(_features(2, 26, 11), TEXTS)
    embeddings = model.encode(batch["speech"], batch["speech_lengths"])
    inputs = model.assemble(embeddings, ["it"] * 3, TEXTS)
    assert inputs.targets is not None and inputs.predicts is not None
    assert inputs.targets.tolist() == [30, 2, 20, 21, 22, 23, 40, 41, 2, 30, 30, 2]
    assert inputs.predicts.sum(dim=1).tolist() == [2, 7, 3]
    _, _, weight = model(**batch)
    assert float(weight) == 12


def _train(model: SpokenLanguageModel, steps: int) -> tuple[dict, dict, torch.Tensor]:
    torch.manual_seed(7)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    batch = _batch(_features(8, 26, 11), TEXTS)
    model.train()
    for step in range(steps):
        model.step = step
        loss, _, _ = model(**batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return model.state_dict(), optimizer.state_dict(), torch.random.get_rng_state()


@pytest.mark.parametrize("value", ["as it is", "NaN"])
def test_weight_zero_is_plain_sft_bit_for_bit(
    build: Build, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    plain = _train(build(regularizers=[]), 20)
    if value == "NaN":
        original = OTRegularizer.__call__

        def not_a_number(self: OTRegularizer, batch: Any) -> Any:
            output = original(self, batch)
            return type(output)(output.value * torch.nan, output.statistics)

        monkeypatch.setattr(OTRegularizer, "__call__", not_a_number)
    silent = _train(build(regularizers=[{"otreg": {"weight": 0.0}}]), 20)
    late = _train(build(regularizers=[{"otreg": {"weight": 0.3, "start_step": 20}}]), 20)
    for other in (silent, late):
        assert other[0].keys() == plain[0].keys()  # OTReg adds no state-dict key
        for key, tensor in plain[0].items():
            assert torch.equal(tensor, other[0][key]), key
        for index, state in plain[1]["state"].items():
            for name, tensor in state.items():
                assert torch.equal(tensor, other[1]["state"][index][name])
        assert torch.equal(plain[2], other[2])
    if value == "as it is":
        loud = _train(build(regularizers=[{"otreg": {"weight": 0.3}}]), 20)
        assert any(not torch.equal(plain[0][key], loud[0][key]) for key in plain[0])


@pytest.mark.parametrize(
    ("regularizers", "values", "scale_learns"),
    [
        ([], "frames", False),
        ([{"otreg": {"weight": 0.3}}, {"ctc": {"weight": 0.0}}], "frames", False),
        ([{"ctc": {"weight": 0.3}}], "frames", True),
        ([], "posterior", True),
    ],
)
def test_every_trainable_parameter_gets_a_gradient(
    build: Build, regularizers: list, values: str, scale_learns: bool
) -> None:
    model = build(regularizers=regularizers, compression_conf={"method": "ctc", "values": values})
    loss, _, _ = model.train()(**_batch(_features(8, 26, 11), TEXTS))
    loss.backward()
    trainable = {n: p.grad is not None for n, p in model.named_parameters() if p.requires_grad}
    assert any(name.startswith("projector.") for name in trainable)
    assert all(trainable.values()), trainable  # else training stops in several processes
    assert ("readout.log_scale" in trainable) == scale_learns


def test_the_projector_of_the_start_is_kept_and_leaves_no_trace(build: Build) -> None:
    monge_gap = [{"monge_gap": {"weight": 1.0}}]
    model, plain = build(regularizers=monge_gap), build(regularizers=[])
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]
    batch = _batch(_features(8, 26, 11), TEXTS)
    observed = []
    for steps in (0, 5):
        _train(model, steps)
        _, statistics, _ = model.eval()(**batch)
        observed.append(float(statistics["monge_gap_moved"]))
    assert observed[0] == 0 and observed[1] > 0
    # A training that goes on begins where the first one did.
    resumed = build(regularizers=monge_gap)
    resumed.remember_start()
    resumed.load_state_dict(model.state_dict())
    _, statistics, _ = resumed.eval()(**batch)
    assert float(statistics["monge_gap_moved"]) == pytest.approx(observed[1], rel=1e-6)
    silent = _train(build(regularizers=[{"monge_gap": {"weight": 0.0}}]), 5)[0]
    expected = _train(build(regularizers=[]), 5)[0]
    assert all(torch.equal(expected[key], silent[key]) for key in expected)


def test_otreg_adds_no_parameter(build: Build) -> None:
    with_otreg = {n: p.shape for n, p in build().named_parameters()}
    assert with_otreg == {n: p.shape for n, p in build(regularizers=[]).named_parameters()}


def test_the_checkpoint_holds_what_training_changes_and_is_checked_both_ways(
    build: Build,
) -> None:
    model = build()
    state = model.state_dict()
    assert all(key.startswith(("projector.", "readout.")) or "lora_" in key for key in state)
    other = build(seed=5)
    other.load_state_dict(state, strict=False)
    assert all(torch.equal(state[key], value) for key, value in other.state_dict().items())
    missing = dict(list(state.items())[1:])
    with pytest.raises(UserError, match="missing keys: projector.gain"):
        other.load_state_dict(missing, strict=False)
    with pytest.raises(UserError, match="unknown keys: surplus"):
        other.load_state_dict({**state, "surplus": torch.zeros(1)}, strict=False)
    with pytest.raises(UserError, match="other shapes: projector.gain"):
        other.load_state_dict({**state, "projector.gain": torch.zeros(2)}, strict=False)
    with pytest.raises(UserError, match="other shapes: projector.gain"):
        other.load_state_dict({**state, "projector.gain": 1.0}, strict=False)
    for kind in (torch.long, torch.bool, torch.int8):
        cast = {**state, "projector.gain": state["projector.gain"].to(kind)}
        with pytest.raises(UserError, match="integers for floats: projector.gain"):
            other.load_state_dict(cast, strict=False)


def test_a_list_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1.0], tmp_path / "model.pth")
    with pytest.raises(UserError, match="model.pth: no checkpoint of weights and plain values"):
        load_checkpoint(tmp_path / "model.pth")


def test_a_frozen_projector_is_still_saved(build: Build) -> None:
    model = build(freeze=["^projector\\."])
    assert any(key.startswith("projector.") for key in model.state_dict())


def test_freeze_and_train_must_match_and_frozen_weights_do_not_move(build: Build) -> None:
    with pytest.raises(UserError, match="'projektor' matches no parameter"):
        build(freeze=["projektor"])
    model = build(freeze=["^projector\\."], train=["layers\\.1\\.mlp"])
    before = copy.deepcopy(dict(model.named_parameters()))
    _train(model, 3)
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        expected = "lora_" in name or "layers.1.mlp" in name or name == "readout.log_scale"
        assert moved == expected or (expected and "lora_A" in name), name


def test_without_cross_entropy_the_llm_is_not_run(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(regularizers=[{"ctc": {"weight": 1.0}}], model_conf={"cross_entropy_weight": 0.0})

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the LLM was run")

    monkeypatch.setattr(model.llm, "logits_at", refuse)
    loss, statistics, _ = model(**_batch(_features(26, 26, 11), TEXTS))
    loss.backward()
    assert float(loss.detach()) > 0 and "ce" not in statistics
    model.eval()
    valid, _, _ = model(**_batch(_features(26, 26, 11), TEXTS))
    assert float(valid.detach()) > 0


def test_a_nonfinite_loss_names_utterances_and_terms_and_stops_in_the_end(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(model_conf={"max_nonfinite_steps": 2}).train()
    batch = _batch(_features(8, 26, 11), TEXTS)
    batch["speech"][0, 0, 0] = torch.inf
    with caplog.at_level(logging.WARNING):
        model(**batch)[0].backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and not any(gradient.isfinite().all() for gradient in gradients)
    assert "utterance0 utterance1 utterance2" in caplog.text and "ce=nan" in caplog.text
    with pytest.raises(UserError, match="not finite 2 times in a row"):
        model(**batch)


def test_an_infinite_constant_in_the_loss_makes_a_step_that_is_skipped(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infinite(self: OTRegularizer, batch: Any) -> torch.Tensor:
        return batch.speech[batch.speech_mask].mean() + torch.inf

    monkeypatch.setattr(OTRegularizer, "__call__", infinite)
    model = build(regularizers=["otreg"]).train()
    loss, statistics, _ = model(**_batch(_features(8, 26, 11), TEXTS))
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(gradient.isnan().all() for gradient in gradients)
    assert statistics["loss"].item() == torch.inf


def test_no_regularizer_can_take_a_name_of_the_models_statistics(build: Build) -> None:
    model = build(regularizers=["otreg"])
    for mode in (model.train(), model.eval()):
        _, statistics, _ = mode(**_batch(_features(8, 26, 11), TEXTS))
        ours = {name for name in statistics if not name.startswith("otreg")}
        assert ours and ours <= RESERVED_STATISTICS


def test_espnets_frontend_specaug_and_encoder_fit_in(build: Build) -> None:
    model = build(
        frontend="default",
        frontend_conf={"fs": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 20},
        specaug="specaug",
        specaug_conf={
            "apply_freq_mask": True,
            "freq_mask_width_range": [0, 4],
            "time_mask_width_range": [0, 4],
        },
        normalize="utterance_mvn",
        encoder="transformer",
        encoder_conf={"output_size": 16, "attention_heads": 2, "num_blocks": 1,
                      "linear_units": 16},
    ).train()  # fmt: skip
    assert model.frame_seconds == pytest.approx(0.01 * 4 * 2)
    torch.manual_seed(0)
    batch = _batch([torch.randn(16000), torch.randn(9000), torch.randn(12000)], TEXTS)
    loss, _, _ = model(**batch)
    loss.backward()
    assert model.encoder.encoders[0].self_attn.linear_q.weight.grad.abs().sum() > 0


def test_a_wrong_option_of_an_espnet_module_is_one_sentence(build: Build) -> None:
    with pytest.raises(UserError, match="specaug_conf: .*unexpected keyword"):
        build(specaug="specaug", specaug_conf={"no_such_option": 1})
