"""Pack a trained model into a directory that can be moved, shared and loaded elsewhere."""

from __future__ import annotations

import argparse

from espnet_otreg.errors import run_main
from espnet_otreg.startup import without_garbage_collection


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_dir", required=True, help="training directory")
    parser.add_argument("--output", required=True, help="directory to make or to replace")
    parser.add_argument(
        "--checkpoint", help="file name; else the experiment's; else averaged, best, latest"
    )
    parser.add_argument(
        "--copy_models",
        action="store_true",
        help="copy local pretrained models of any size; otherwise those up to 200 MB",
    )
    return parser


def main() -> None:
    """Parse the command line and pack."""
    args = get_parser().parse_args()
    with without_garbage_collection():
        from espnet_otreg.inference.pack import pack_model

        pack_model(args.model_dir, args.output, args.checkpoint, args.copy_models)
    print(f"{args.output}: packed; transcribe with slm_transcribe --model_dir {args.output}")


if __name__ == "__main__":
    run_main(main)
