"""--init_param: every weight that is named lands, or one sentence says which does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model

from espnet_otreg.errors import UserError
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.checkpoint import checked_state
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.initial import check_initial
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.train_data import checkpoint_errors

Build = Callable[[int], SpokenLanguageModel]


@pytest.fixture
def build(tiny_llm: Path) -> Build:
    def make(width: int = 24) -> SpokenLanguageModel:
        values = {
            "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
            "projector_conf": {"stack": 2, "layers": 1, "width": width, "heads": 4},
            "llm_conf": {"model": str(tiny_llm), "adapter": "lora", "lora_rank": 2},
        }
        return build_model(parse_slm_config(values))

    return make


def test_what_does_not_land_is_refused_and_named(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    source = build(24)
    torch.save(source.state_dict(), path)
    model = build(24)
    for value, says in (
        (f"{path}:projektor:projector", r"no weight begins with 'projektor\.' .*llm, projector"),
        (f"{path}:proj:projector", r"no weight begins with 'proj\.'"),  # half of a name
        (f"{path}:projector:projektor", "no part 'projektor'; did you mean 'projector'"),
        (f"{path}:projector:llm.modle", "no part 'llm.modle'; did you mean 'model'"),
        (f"{path}:projector", "unknown keys: gain"),  # the model itself has no 'gain'
        (f"{path}:projector:llm", "no weight has a place in the model; unknown keys: gain"),
        (f"{path}:::projector.gian", "no weight to exclude begins with 'projector.gian'"),
        (f"{path}:a:b:c:d", "expected FILE:SOURCE:TARGET:EXCLUDED"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            check_initial(value, model, allow_mismatch=False)
        assert "--init_param" in caught.value.where
    assert "EXCLUDED" in checkpoint_errors([f"{path}:a:b:c:d"])[0]
    with pytest.raises(UserError, match="other shapes: projector"):
        check_initial(str(path), build(32), allow_mismatch=False)
    check_initial(str(path), build(32), allow_mismatch=True)  # LoRA still lands
    state = source.state_dict()
    state["projector.gain"] = state["projector.gain"] * float("nan")
    torch.save(state, path)
    with pytest.raises(UserError, match="NaN or infinity: projector.gain"):
        check_initial(str(path), model, allow_mismatch=False)
    with pytest.raises(UserError, match="NaN or infinity: projector.gain"):
        checked_state(model, state)


@pytest.mark.parametrize(
    ("form", "lands"),
    [
        ("", ("projector.", "llm.")),
        (":projector:projector", ("projector.",)),
        (":projector:projector:projector.gain", ("projector.",)),
        (":::llm.,projector.gain", ("projector.",)),
    ],
)
def test_what_is_accepted_lands(build: Build, tmp_path: Path, form: str, lands: object) -> None:
    source, model = build(24), build(24)
    for parameter in source.parameters():
        parameter.data.add_(1.0)
    expected = source.state_dict()
    torch.save({"module": expected} if not form else expected, tmp_path / "model.pth")
    value = f"{tmp_path / 'model.pth'}{form}"
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_initial(value, model, allow_mismatch=False)
    load_pretrained_model(value, model, ignore_init_mismatch=False)
    for name, tensor in model.state_dict().items():
        taken = name.startswith(lands) and not ("gain" in form and name == "projector.gain")
        torch.testing.assert_close(tensor, (expected if taken else before)[name], rtol=0, atol=0)
