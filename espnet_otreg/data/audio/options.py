"""What may be done to a recording that is not mono or not at the wanted rate."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class AudioOptions:
    """The section ``audio_conf`` of a training, and the options of the commands that read audio."""

    resample: bool = True  # other rates are converted to 16 kHz; false refuses them
    mix_channels: bool = True  # several channels are averaged; false refuses them


DEFAULT_AUDIO = AudioOptions()


def truth(text: str) -> bool:
    """What an option of a command line says.

    Raises:
        argparse.ArgumentTypeError: unless it is true or false.

    >>> truth("True"), truth("false")
    (True, False)
    """
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, found {text!r}")
    return text.lower() == "true"


def add_audio_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--resample`` and ``--mix_channels``; without a value they mean true.

    >>> parser = argparse.ArgumentParser()
    >>> add_audio_options(parser)
    >>> parser.parse_args(["--mix_channels", "--resample", "false"])
    Namespace(resample=False, mix_channels=True)
    """
    for name, text in (
        ("resample", "convert other rates to 16 kHz; false refuses them"),
        ("mix_channels", "average the channels of a recording; false refuses several"),
    ):
        parser.add_argument(f"--{name}", type=truth, nargs="?", const=True, default=True, help=text)


def audio_options(arguments: argparse.Namespace) -> AudioOptions:
    """The options that :func:`add_audio_options` has read.

    >>> audio_options(argparse.Namespace(resample=False, mix_channels=True, other=1))
    AudioOptions(resample=False, mix_channels=True)
    """
    return AudioOptions(arguments.resample, arguments.mix_channels)
