"""Choose the classes of the CTC read-out: python -m espnet_otreg.bin.token_classes --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Count the LLM's tokens in the training transcripts: the tokens in use are the "
        "classes of the projector's CTC read-out, and the anchor token is its blank.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--text", type=Path, nargs="+", required=True, help="Kaldi text of the training speech"
    )
    parser.add_argument("--llm", required=True, help="the LLM: directory or hub name")
    parser.add_argument("--output", type=Path, required=True, help="classes.json to write")
    parser.add_argument("--anchor_token", help="for an LLM whose pad token cannot serve")
    return parser


def main() -> None:
    """Count, write and say how many."""
    args = get_parser().parse_args()
    from espnet_otreg.data.kaldi_dir import read_table
    from espnet_otreg.files import write_json
    from espnet_otreg.slm.token_classes import count_token_classes

    transcripts = [text for path in args.text for text in read_table(path).values()]
    classes = count_token_classes(transcripts, args.llm, args.anchor_token)
    write_json(args.output, classes)
    tokens, rare = sum(classes["counts"]), sum(count < 5 for count in classes["counts"])
    print(
        f"{len(classes['token_ids'])} token classes in {tokens} tokens, "
        f"{rare} of them seen fewer than 5 times; anchor token {classes['anchor_token_id']}"
    )


if __name__ == "__main__":
    run_main(main)
