"""What a plugin may return and report, and what ends in one sentence that names it."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from espnet_otreg.errors import UserError
from espnet_otreg.regularizers import (
    RegularizerConfig,
    RegularizerOutput,
    parse_regularizers,
    register_regularizer,
)
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.regularizers.registry import REGULARIZERS, NamedRegularizer

# What the plugin named "probe" is at the moment.
PROBE: list[Any] = [None]


@register_regularizer("probe")
@dataclass(frozen=True)
class ProbeConfig(RegularizerConfig):
    weight: float = 0.5

    def build(self):
        return PROBE[0]


def run(batch, plugin, items=("probe",), **settings):
    PROBE[0] = plugin
    arguments = {"step": 0} | settings
    return apply_regularizers(parse_regularizers(list(items)), batch, **arguments)


def mean_square(batch):
    return batch.speech[batch.speech_mask].square().mean()


def returning(value: Callable[[torch.Tensor], Any]):
    return lambda batch: value(mean_square(batch))


@pytest.fixture(autouse=True)
def names_stay_here(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(REGULARIZERS, "_registered", dict(REGULARIZERS._registered))


@pytest.fixture
def batch(make_batch):
    return make_batch([[3, 5, 7], [4, 9]], [9, 6])


Pair = namedtuple("Pair", "value statistics")
BAD_RETURNS = {
    "None": (lambda x: None, "returned None for a loss"),
    "float": (lambda x: 0.7, "without a gradient"),
    "numpy float": (lambda x: np.float32(0.7), "without a gradient"),
    "bool": (lambda x: True, "returned a bool"),
    "text": (lambda x: "0.7", "returned a str"),
    "tuple": (lambda x: (x, {}), "returned a tuple"),
    "named tuple": (lambda x: Pair(x, {}), "returned a Pair"),
    "dictionary": (lambda x: {"loss": x}, "returned a dict"),
    "array": (lambda x: np.zeros(()), "returned a ndarray"),
    "vector": (lambda x: torch.stack([x, x]), r"a loss of shape \(2,\)"),
    "empty": (lambda x: torch.zeros(0), r"a loss of shape \(0,\)"),
    "detached": (lambda x: x.detach(), "without a gradient"),
    "integer": (lambda x: torch.tensor(3), "of type torch.int64"),
    "complex": (lambda x: x * 1j, "of type torch.complex64"),
    "meta": (lambda x: torch.zeros((), device="meta"), "on the device meta"),
    "None inside": (lambda x: RegularizerOutput(None), "returned None for a loss"),
    "vector inside": (lambda x: RegularizerOutput(x.expand(3)), r"a loss of shape \(3,\)"),
    "detached inside": (lambda x: RegularizerOutput(x.detach()), "without a gradient"),
}
BAD_STATISTICS = {
    "no mapping": (None, "returned None for its statistics"),
    "a list": ([1.0], "returned a list for its statistics"),
    "a number for a name": ({3: 1.0}, "a statistic named 3"),
    "no name": ({" ": 1.0}, "a statistic named ' '"),
    "text": ({"gap": "wide"}, "reports a str as 'gap'"),
    "None": ({"gap": None}, "reports None as 'gap'"),
    "vector": ({"gap": torch.zeros(3)}, r"reports a tensor of shape \(3,\)"),
    "large": ({"gap": torch.zeros(1000, 1000)}, r"reports a tensor of shape \(1000, 1000\)"),
    "complex": ({"gap": torch.tensor(1j)}, "torch.complex64"),
    "meta": ({"gap": torch.zeros((), device="meta")}, "on meta"),
    "one name twice": ({"gap": 1.0, "probe_gap": 2.0}, "two statistics named 'probe_gap'"),
    "our name": ({"weighted": 1.0}, "'probe_weighted', which the regularizer 'probe' reports"),
}


@pytest.mark.parametrize("name", BAD_RETURNS)
def test_what_is_no_loss_is_one_sentence_that_names_the_plugin(batch, name):
    value, message = BAD_RETURNS[name]
    with pytest.raises(UserError, match=message) as caught:
        run(batch, returning(value))
    assert str(caught.value).startswith("regularizers.probe: the regularizer ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BAD_STATISTICS)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_no_statistic_is_one_sentence_that_names_the_plugin(batch, name, training):
    statistics, message = BAD_STATISTICS[name]
    with pytest.raises(UserError, match=message) as caught:
        run(batch, returning(lambda x: RegularizerOutput(x, statistics)), training=training)
    assert str(caught.value).startswith("regularizers.probe: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [lambda x: x, lambda x: x[None], lambda x: x.double(), lambda x: RegularizerOutput(x)]
)
def test_a_scalar_tensor_is_a_loss(batch, value):
    term, statistics = run(batch, returning(value))
    assert term.shape == () and term.dtype == torch.float32
    torch.testing.assert_close(term, 0.5 * mean_square(batch))
    assert sorted(statistics) == ["probe", "probe_weighted"]
    (found,) = torch.autograd.grad(term, batch.speech)
    (expected,) = torch.autograd.grad(0.5 * mean_square(batch), batch.speech)
    torch.testing.assert_close(found, expected)


def test_constants_are_measured_and_a_constant_zero_says_there_is_nothing_to_do(batch):
    for value in (0.7, np.float64(0.7), torch.tensor(0.7), torch.tensor([0.7])):
        term, statistics = run(batch, lambda _, value=value: value, training=False)
        assert term is None and statistics["probe"].item() == pytest.approx(0.7)
        observed = run(batch, lambda _, value=value: value, [{"probe": {"weight": 0}}])
        assert observed[1]["probe"].item() == pytest.approx(0.7)
    for nothing in (0.0, 0, torch.tensor(0.0)):
        term, statistics = run(batch, lambda _, value=nothing: value)
        assert term == 0 and not term.requires_grad and statistics["probe_weighted"] == 0
    frozen = replace(batch, speech=batch.speech.detach())
    assert run(frozen, returning(lambda x: x))[0] > 0


def test_statistics_are_numbers_under_the_plugins_name(batch):
    given = {
        "gap": 2, "probe_size": torch.tensor([3]), "share": np.float32(0.5), "on": True,
        "ce": 9.0, "loss": torch.tensor(1.0, dtype=torch.float64), "bad": float("nan"),
        "kept": mean_square(batch),
    }  # fmt: skip
    term, statistics = run(batch, returning(lambda x: RegularizerOutput(x, given)))
    names = {"probe", "probe_weighted", *(f"probe_{key}" for key in given if key != "probe_size")}
    assert set(statistics) == names | {"probe_size"}
    for value in statistics.values():
        assert value.shape == () and value.is_floating_point() and not value.requires_grad
    assert statistics["probe_ce"] == 9 and statistics["probe_size"] == 3
    assert statistics["probe_bad"].isnan() and term.isfinite()


def test_one_regularizer_never_overwrites_what_another_reports(batch):
    @register_regularizer("otreg_plan")
    @dataclass(frozen=True)
    class OneMore(RegularizerConfig):
        def build(self):
            return returning(lambda x: RegularizerOutput(x, {"entropy": 1.0}))

    for items in (["otreg", "otreg_plan"], ["otreg_plan", "otreg"]):
        with pytest.raises(UserError, match="'otreg_plan_entropy', which the regularizer 'otreg"):
            run(batch, None, items)

    @register_regularizer("kept")
    @dataclass(frozen=True)
    class Kept(OneMore):
        def build(self):
            return returning(lambda x: RegularizerOutput(x, {"frames": 1.0}))

    with pytest.raises(UserError, match="'kept_frames', which the training reports"):
        run(batch, None, ["kept"])


@pytest.mark.parametrize("settings", [{}, {"training": False}])
def test_what_a_plugin_raises_is_one_sentence_with_its_place(batch, settings):
    def fails(batch):
        return torch.zeros(2, 3) @ batch.speech.new_zeros(2, 3)

    def divides(batch):
        return 1 / 0

    def loops(batch):
        raise AssertionError("two\nlines")

    def exits(batch):
        raise SystemExit(0)

    for plugin, message in (
        (exits, "raised SystemExit at .*test_outputs.py:[0-9]+: 0"),
        (fails, "raised RuntimeError at .*test_outputs.py:[0-9]+: mat1"),
        (divides, "raised ZeroDivisionError at .*test_outputs.py:[0-9]+: division by zero"),
        (loops, "raised AssertionError at .*: two lines"),
        (lambda a, b: a, "raised TypeError at .*missing 1 required positional argument"),
        ("no function", "is built as a str"),
        (None, "is built as a NoneType"),
    ):
        with pytest.raises(UserError, match=f"^regularizers.probe: the regularizer {message}"):
            run(batch, plugin, **settings)

    def stops(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(batch, stops, **settings)


def test_a_batch_is_not_written_to_even_by_a_plugin_of_weight_zero(batch):
    def normalizes(batch):
        batch.speech.data.clamp_(-9, 9)
        return mean_square(batch)

    def masks(batch):
        batch.text_mask.logical_not_()
        return mean_square(batch)

    def shifts(batch):
        with torch.no_grad():
            batch.speech.add_(1)
        return mean_square(batch)

    for plugin, name in ((masks, "text_mask"), (shifts, "speech")):
        with pytest.raises(UserError, match=f"changes batch.{name} in place"):
            run(batch, plugin, [{"probe": {"weight": 0}}])
    with torch.inference_mode():
        run(replace(batch, speech=batch.speech * 1), normalizes, training=False)


@pytest.mark.parametrize("where", ["speech", "text", "anchor"])
def test_broken_embeddings_make_values_nan_whatever_a_regularizer_does(batch, where):
    vectors = getattr(batch, where).detach().clone()
    vectors[(0,) * (vectors.dim() - 1)] = torch.inf
    broken = replace(batch, **{where: vectors.requires_grad_(where == "speech")})
    items = ["otreg", "ctc", "divergence", "multigrained", "probe"]
    seen = []

    def looks(batch):
        seen.append(batch.speech)
        return mean_square(batch)

    for training in (True, False):
        term, statistics = run(broken, looks, items, training=training)
        weighted = {key for key in statistics if key.endswith("_weighted")}
        assert all(statistics[key].isnan() for key in statistics if key not in weighted)
        healthy = run(batch, looks, items, training=training)[1]
        assert statistics.keys() == healthy.keys()
        assert not any(value.isnan() for value in healthy.values())
        if training:
            assert term.isnan()
        if training and where == "speech":
            (gradient,) = torch.autograd.grad(term, broken.speech)
            assert gradient.isnan().any()
    assert all(speech[batch.speech_mask].isfinite().all() for speech in seen)


@pytest.mark.parametrize("weight", [float("nan"), -1.0, None, "0.3", float("inf")])
def test_a_weight_of_its_own_making(batch, weight):
    @dataclass(frozen=True)
    class Odd(ProbeConfig):
        def weight_at(self, step):
            return weight

    item = NamedRegularizer("odd", Odd())
    with pytest.raises(UserError, match="regularizers.odd: the regularizer has a weight of"):
        apply_regularizers([item], batch, step=0)
