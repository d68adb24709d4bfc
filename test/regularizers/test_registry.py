"""Names and keys of YAML, and every mistake in them at once."""

from dataclasses import dataclass

import pytest
import yaml

from espnet_otreg.errors import ConfigErrors
from espnet_otreg.regularizers import (
    CTCConfig,
    OTRegConfig,
    RegularizerConfig,
    parse_regularizers,
    register_regularizer,
)


def parse_yaml(text):
    return parse_regularizers(yaml.safe_load(text))


def test_reads_the_list_of_the_design():
    named = parse_yaml("""
    - otreg: {weight: 0.3, epsilon: 0.1, sparsity_weight: 0.1, anchor: true,
              deduplicate: token_id, start_step: 0}
    - ctc: {weight: 0.3}
    """)
    assert [(item.name, item.config) for item in named] == [
        ("otreg", OTRegConfig()),
        ("ctc", CTCConfig()),
    ]


def test_a_name_alone_takes_the_defaults():
    assert [item.name for item in parse_yaml("- ctc\n- otreg:\n")] == ["ctc", "otreg"]
    assert parse_regularizers([]) == []


def test_is_built_once():
    (item,) = parse_regularizers(["otreg"])
    assert item.regularizer is item.regularizer


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigErrors) as caught:
        parse_yaml("""
        - otrge: {weight: 0.3}
        - otreg: {wieght: 0.3, epsilon: tiny, gradient: implict}
        - ctc: {start_step: -1, warmup_steps: -1}
        - ctc
        - {otreg: {}, ctc: {}}
        - 3
        """)
    errors = caught.value.errors
    for expected in (
        "unknown name 'otrge'; did you mean 'otreg'?",
        "otreg.wieght: unknown key; did you mean 'weight'?",
        "otreg.epsilon: expected float, found 'tiny'",
        "otreg.gradient: expected one of 'implicit', 'unrolled', 'envelope', found 'implict'",
        "ctc.start_step: expected a number not below 0, found -1",
        "ctc.warmup_steps: expected a number not below 0, found -1",
        "regularizers.ctc: named twice",
        "found {'otreg': {}, 'ctc': {}}",
        "found 3",
    ):
        assert sum(expected in error for error in errors) == 1, expected
    assert len(errors) == 9


@pytest.mark.parametrize("items", ["otreg", {"otreg": {}}, None, 3])
def test_something_else_than_a_list(items):
    with pytest.raises(ConfigErrors, match="regularizers: expected a list"):
        parse_regularizers(items)


def test_mistakes_can_be_collected_with_those_of_other_sections():
    errors = ["projector: missing"]
    assert parse_regularizers(["nothing_like_it"], errors) == []
    assert len(errors) == 2 and "known:" in errors[1] and "otreg" in errors[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epsilon": 0}, "epsilon: expected a positive number"),
        ({"max_iterations": 0}, "max_iterations: expected at least 1"),
        ({"tolerance": -1e-3}, "tolerance"),
        ({"sparsity_weight": -1}, "sparsity_weight"),
        ({"anchor_mass": 1.0}, "anchor_mass: expected a share"),
        ({"anchor_mass": "voice"}, r"expected float \| 'voice_activity' \| None, found 'voice'"),
        ({"anchor_mass": "voice_activity", "anchor": False}, "anchor_mass: has no meaning"),
        ({"anchor_mass": 0.3, "anchor": False}, "anchor_mass: has no meaning"),
        ({"source_relaxation": 0.0}, "source_relaxation"),
        ({"gradient": "envelope"}, "sparsity term"),
        ({"plan": "sparse", "source_relaxation": 1.0}, "no meaning with 'plan: sparse'"),
        ({"plan": "sparse", "gradient": "unrolled"}, "no meaning with 'plan: sparse'"),
        ({"max_nonzeros": 0}, "max_nonzeros: expected at least 1"),
    ],
)
def test_values_of_otreg_that_make_no_sense(fields, message):
    with pytest.raises(ConfigErrors, match=message):
        parse_regularizers([{"otreg": fields}])


def test_a_taken_name_is_rejected():
    with pytest.raises(ValueError, match="'ctc' exists: espnet_otreg.regularizers.ctc.CTCConfig"):

        @register_regularizer("ctc")
        @dataclass(frozen=True)
        class Another(RegularizerConfig):
            pass


def test_registering_the_same_class_again_is_harmless():
    assert register_regularizer("ctc")(CTCConfig) is CTCConfig


def test_only_configurations_can_be_registered():
    with pytest.raises(TypeError, match="RegularizerConfig"):
        register_regularizer("something")(dict)  # type: ignore[type-var]
