"""Deal transcripts to other utterances: python -m espnet_otreg.bin.unpair_text --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Give every utterance the transcript of another one of its language: training "
        "text for methods that are to learn without pairs of speech and text.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="has text and utt2lang")
    parser.add_argument("--output", type=Path, required=True, help="text file to write")
    return parser


def main() -> None:
    """Deal, write and say how many."""
    args = get_parser().parse_args()
    from espnet_otreg.data.kaldi_dir import read_table, write_table
    from espnet_otreg.data.languages import read_languages
    from espnet_otreg.data.unpair import unpair

    texts = read_table(args.data_dir / "text")
    dealt = unpair(texts, read_languages(args.data_dir / "utt2lang"))
    write_table(args.output, dealt)
    print(f"{len(dealt)} utterances have the transcript of another one")


if __name__ == "__main__":
    run_main(main)
