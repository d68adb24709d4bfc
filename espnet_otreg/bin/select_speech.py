"""Choose the training speech that a run sees: python -m espnet_otreg.bin.select_speech --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import ConfigErrors, run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Write the shape files of the utterances that a run sees, which are all that "
        "ESPnet reads of a training set. Smaller parts are inside of larger ones.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--speech", required=True, help="as in experiment.yaml: {real_share: 0.3, ...}"
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="features of the training set")
    parser.add_argument("--shapes", type=Path, nargs="+", required=True, help="of all utterances")
    parser.add_argument("--output", type=Path, required=True, help="directory for the new files")
    return parser


def main() -> None:
    """Choose, write and say how many utterances are left."""
    args = get_parser().parse_args()
    from espnet_otreg.config import parse_config
    from espnet_otreg.data.speech_share import SpeechShare, write_shapes
    from espnet_otreg.files import parse_yaml

    errors: list[str] = []
    share = parse_config(SpeechShare, parse_yaml(args.speech, "--speech"), "speech", errors)
    if share is None:
        raise ConfigErrors(errors, "--speech")
    seen, all_of_them = write_shapes(share, args.data_dir, args.shapes, args.output)
    print(f"{args.output}: {seen} of {all_of_them} utterances")


if __name__ == "__main__":
    run_main(main)
