"""What a training says and keeps of the languages that it is for."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.slm.config import PromptConfig
from espnet_otreg.slm.train_data import count_languages, default_prompt_notes, parse_sources
from espnet_otreg.slm.trained_languages import write_trained_languages


def _counts(args: argparse.Namespace, kind: str) -> tuple[dict[str, int], int]:
    option = f"{kind}_data_path_and_name_and_type"
    return count_languages(parse_sources(f"--{option}", getattr(args, option), []))


def print_languages(args: argparse.Namespace, prompt: PromptConfig) -> None:
    """Say once which languages share the prompt ``default``; nothing if none does.

    Args:
        args: the options of the training.
        prompt: its templates.

    Raises:
        UserError: if a table names what is no language.
    """
    if args.dist_rank in (None, 0):
        train, valid = _counts(args, "train")[0], _counts(args, "valid")[0]
        for note in default_prompt_notes(train, valid, prompt.by_language()):
            print(note, flush=True)


def record_languages(args: argparse.Namespace, directory: Path, resumed: bool) -> None:
    """Write ``languages.json`` into the directory of a training.

    Args:
        args: the options of the training.
        directory: where it goes.
        resumed: whether it goes on from a checkpoint, and keeps what it was trained for before.

    Raises:
        UserError: if a table names what is no language.
    """
    write_trained_languages(directory, *_counts(args, "train"), resumed)
