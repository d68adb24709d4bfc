"""Transcribe a data directory with Whisper as it comes (greedy, language given)."""

from __future__ import annotations

import argparse

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import BATCH_SIZE


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="data directory with wav.scp and utt2lang")
    parser.add_argument("--output", required=True, help="directory to write text into")
    parser.add_argument("--model", required=True, help="Whisper: directory or hub name")
    parser.add_argument(
        "--batch_size", type=BATCH_SIZE.read, default=8, help="utterances decoded together"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    return parser


def main() -> None:
    """Parse the command line and run."""
    arguments = get_parser().parse_args()
    from espnet_otreg.decoding.whisper_baseline import decode_baseline

    decode_baseline(**vars(arguments))


if __name__ == "__main__":
    run_main(main)
