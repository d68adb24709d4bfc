"""Ways of decoding by name: our own, and those other packages bring by entry point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.decoding.modes.base import Mode, Option
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.ranges import range_errors
from espnet_otreg.registry import Registry

ENTRY_POINT_GROUP = "espnet_otreg.decoding_modes"

MODES: Registry[Mode] = Registry(
    "decoding mode", Mode, ENTRY_POINT_GROUP, must_define={"run": "decode"}
)


@cache
def _known() -> tuple[dict[str, type[Mode]], list[str]]:
    """All modes, and what is wrong with those of other packages; looking for these takes time."""
    errors: list[str] = []
    return MODES.classes(errors, where="mode"), errors


def known_modes() -> dict[str, type[Mode]]:
    """All modes by name, those of other packages behind ours.

    A package that cannot be loaded is left out; :func:`configure_modes` says why to who names it.

    >>> known_modes()["joint"].title
    'joint CTC + LLM'
    """
    return dict(_known()[0])


def mode_options() -> dict[str, Option]:
    """The options of all modes by name; modes that share a name share the option.

    Raises:
        ConfigErrors: if modes of several packages mean different things by one name.

    >>> mode_options()["num_beams"].default
    1
    """
    found: dict[str, Option] = {}
    errors = []
    for mode, cls in known_modes().items():
        for name, about in cls.options().items():
            if found.setdefault(name, about) != about:
                errors.append(f"mode {mode!r}: --{name} is an option of another mode already")
    if errors:
        raise ConfigErrors(errors)
    return found


def configure_modes(
    names: Sequence[str], values: Mapping[str, Any] | None = None
) -> dict[str, Mode]:
    """Modes by name, each with those of the values that it reads.

    One that is named twice is done once; the source of a mode that takes another's hypotheses
    comes before it.

    Args:
        names: of modes.
        values: options of any modes; the others have their defaults.

    Raises:
        ConfigErrors: with every mode that does not exist or lacks an option, every option that does
            not exist and every value outside its range.

    >>> configure_modes(["llm"], {"num_beams": 4})["llm"].num_beams
    4
    >>> configure_modes(["lmm"], {"num_beans": 4})
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 2 configuration errors: (1) num_beans: unknown option; \
did you mean 'num_beams'? (2) mode 'lmm': there is no such mode; did you mean 'llm'?
    """
    values = values or {}
    options = mode_options()
    errors = [
        f"{name}: unknown option; {did_you_mean(name, options)}"
        for name in values
        if name not in options
    ]
    ranges = {name: o.allowed for name, o in options.items() if o.allowed is not None}
    errors += range_errors(values, ranges)
    usable = {k: v for k, v in values.items() if k in options and not range_errors({k: v}, ranges)}
    modes: dict[str, Mode] = {}
    if isinstance(names, str) or not names:
        known = ", ".join(known_modes())
        errors.append(f"modes: expected a list of {known}, found {names!r}")
        names = []
    for name in dict.fromkeys(names):
        cls = _class_of(name, errors)
        if cls is None:
            continue
        mode = _made(cls, usable)
        if mode.source is not None:
            modes.setdefault(mode.source, _made(known_modes()[mode.source], usable))
        modes[name] = mode
        errors += [f"mode {name!r}: {message}" for message in mode.lacks()]
    if errors:
        raise ConfigErrors(errors)
    return modes


def _made(cls: type[Mode], values: Mapping[str, Any]) -> Mode:
    return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


def _class_of(name: Any, errors: list[str]) -> type[Mode] | None:
    """The class of a mode, or None after an error: why its package cannot be loaded, perhaps."""
    classes, about_packages = _known()
    if name in classes:
        return classes[name]
    reasons = [message for message in about_packages if message.startswith(f"mode.{name}:")]
    hint = did_you_mean(str(name), classes)
    errors += reasons or [f"mode {name!r}: there is no such mode; {hint}"]
    return None


def without_effect(chosen: Mapping[str, Any], modes: Mapping[str, Mode]) -> list[str]:
    """One sentence for every option that the user has chosen and no mode reads.

    Args:
        chosen: options that differ from their defaults.
        modes: what is decoded, made with these options.

    >>> without_effect({"ctc_beam": 4}, configure_modes(["ctc", "llm"]))
    ['--ctc_beam has no effect without mode ctc_ngram or joint']
    >>> without_effect({"seed": 4}, configure_modes(["joint"]))
    ['--seed has no effect without --num_samples']
    >>> tuned = configure_modes(["joint"], {"weights_dev": "dev"})
    >>> without_effect({"length_bonus": 1.0}, tuned)
    ['--length_bonus has no effect beside --weights_dev, which chooses it']
    """
    sentences = []
    for name in chosen:
        readers = [mode for mode, cls in known_modes().items() if name in cls.options()]
        reading = [mode for mode in modes.values() if name in mode.options()]
        reasons = [mode.ignored().get(name) for mode in reading]
        if readers and not reading:
            few = len(readers) < 5
            others = (
                f"without mode {' or '.join(readers)}" if few else f"in mode {' or '.join(modes)}"
            )
            sentences.append(f"--{name} has no effect {others}")
        elif reasons and all(reasons):
            sentences.append(f"--{name} has no effect {reasons[0]}")
    return sentences
