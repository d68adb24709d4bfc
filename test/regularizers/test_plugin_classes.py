"""Configuration classes of other packages, and entry points, that cannot be taken."""

from dataclasses import KW_ONLY, dataclass
from importlib.metadata import EntryPoint

import pytest

from espnet_otreg import registry
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.regularizers import RegularizerConfig, parse_regularizers, register_regularizer
from espnet_otreg.regularizers.registry import REGULARIZERS


@pytest.fixture(autouse=True)
def names_stay_here(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(REGULARIZERS, "_registered", dict(REGULARIZERS._registered))


@dataclass(frozen=True)
class ProbeConfig(RegularizerConfig):
    def build(self):
        return len


@pytest.mark.parametrize("name", ["ce", "acc", "loss", "kept_frames", "grad_norm", "time", "", " "])
def test_names_that_the_training_reports_are_no_regularizers(name):
    with pytest.raises(ValueError, match="cannot be named"):
        register_regularizer(name)(ProbeConfig)


def test_classes_that_cannot_be_regularizers():
    class NoDataclass(ProbeConfig):
        length: float = 1.0

    @dataclass(frozen=True)
    class NoBuild(RegularizerConfig):
        length: float = 1.0

    @dataclass(frozen=True)
    class Keywords(ProbeConfig):
        _: KW_ONLY
        length: float

    class OnlyBuilds(ProbeConfig):
        def build(self):
            return len

    for cls, message in (
        (NoDataclass, "is no dataclass"),
        (NoBuild, "does not say how to build"),
        (ProbeConfig(), "is not a dataclass derived from RegularizerConfig"),
        (len, "is not a dataclass derived from RegularizerConfig"),
        (None, "is not a dataclass derived from RegularizerConfig"),
    ):
        with pytest.raises(TypeError, match=message):
            register_regularizer("refused")(cls)
    with pytest.raises(ConfigErrors, match="unknown name 'refused'"):
        parse_regularizers(["refused"])
    assert register_regularizer("only_builds")(OnlyBuilds) is OnlyBuilds
    register_regularizer("keywords")(Keywords)
    with pytest.raises(ConfigErrors, match="keywords.length: missing"):
        parse_regularizers(["keywords"])


def test_code_of_a_plugins_configuration_that_fails():
    @register_regularizer("failing")
    @dataclass(frozen=True)
    class Failing(ProbeConfig):
        mode: str = "validate"

        def __post_init__(self):
            if self.mode == "made":
                raise RuntimeError("not made")

        def validate(self):
            return None if self.mode == "validate" else []

        @property
        def needs_readout(self):
            return 1 / 0

    for mode, message in (
        ("made", "raised RuntimeError: not made"),
        ("validate", "raised TypeError: "),
        ("asked", "raised ZeroDivisionError: "),
    ):
        with pytest.raises(ConfigErrors, match="regularizers.failing: .*Failing " + message):
            parse_regularizers([{"failing": {"mode": mode}}])

    @register_regularizer("hints")
    @dataclass(frozen=True)
    class Hints(ProbeConfig):
        length: "Lenght" = 1.0  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigErrors, match="regularizers.hints: .*Hints raised NameError"):
        parse_regularizers(["hints"])


def test_entry_points_that_lead_nowhere(monkeypatch, tmp_path):
    (tmp_path / "exits_at_import.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "brings_ce.py").write_text(
        "from dataclasses import dataclass\n"
        "from espnet_otreg.regularizers import RegularizerConfig\n"
        "@dataclass(frozen=True)\n"
        "class Config(RegularizerConfig):\n"
        "    def build(self): return len\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    values = {
        "exits": "exits_at_import:Config", "absent": "no_such_module_here:Config",
        "function": "math:sqrt", "ce": "brings_ce:Config", "otreg": "brings_ce:Config",
    }  # fmt: skip
    points = [
        EntryPoint(name, value, REGULARIZERS.entry_point_group) for name, value in values.items()
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(ConfigErrors) as caught:
        parse_regularizers(["exits", "absent", "function", "ce"])
    names = "shadow", "exits", "absent", "function", "ce"
    errors = dict(zip(names, caught.value.errors, strict=True))
    for name, message in (
        ("shadow", "regularizers: two packages bring a regularizer named 'otreg', one of "),
        ("exits", "regularizers.exits: cannot be loaded from exits_at_import:Config: SystemExit"),
        ("absent", "regularizers.absent: cannot be loaded from no_such_module_here:Config: Mod"),
        ("function", "regularizers.function: cannot be loaded from math:sqrt: TypeError"),
        ("ce", "regularizers.ce: cannot be loaded from brings_ce:Config: ValueError: a regul"),
    ):
        assert errors[name].startswith(message), errors[name]
