"""Names that other packages bring, seen from a registry of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from espnet_otreg import registry
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.registry import Registry


@dataclass(frozen=True)
class Animal:
    legs: int = 4


@pytest.fixture
def animals(monkeypatch: pytest.MonkeyPatch) -> Registry[Animal]:
    """A registry with one name of its own, and two entry points that bring no animal."""
    points = [
        EntryPoint("fraction", "fractions:Fraction", "example.animals"),
        EntryPoint("ghost", "no_such_module_here:Ghost", "example.animals"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    made = Registry("animal", Animal, "example.animals", reserved={"tree": "it is a plant"})
    made.register("cat")(Animal)
    return made


def test_names_are_listed_without_importing_what_brings_them(animals: Registry[Animal]) -> None:
    assert animals.names() == ["cat", "fraction", "ghost"]


def test_what_cannot_be_loaded_is_left_out_with_a_sentence(animals: Registry[Animal]) -> None:
    errors: list[str] = []
    assert animals.classes(errors, "zoo") == {"cat": Animal}
    assert [error.split(" from ")[0] for error in errors] == [
        "zoo.fraction: cannot be loaded",
        "zoo.ghost: cannot be loaded",
    ]
    with pytest.raises(ConfigErrors, match="2 configuration errors: .* animal.ghost: cannot be"):
        animals.classes()


def test_one_item_is_read_like_those_of_a_list(animals: Registry[Animal]) -> None:
    named = animals.parse_one({"cat": {"legs": 3}})
    assert named is not None and (named.name, named.config) == ("cat", Animal(3))
    errors: list[str] = []
    assert animals.parse_one(["cat"], errors) is None
    assert errors == ["animal: expected a name or one 'name: {key: value}', found ['cat']"]
    with pytest.raises(ConfigErrors, match="animal: unknown name 'act'; did you mean 'cat'"):
        animals.parse_one("act")


def test_a_reserved_name_is_refused_with_its_reason(animals: Registry[Animal]) -> None:
    with pytest.raises(ValueError, match="an animal cannot be named 'tree': it is a plant"):
        animals.register("tree")(Animal)
    with pytest.raises(ValueError, match="an animal named 'cat' exists: .*Animal"):
        animals.register("cat")(type("Other", (Animal,), {"__annotations__": {}}))
