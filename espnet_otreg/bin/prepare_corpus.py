"""Make the data directory of one corpus: python -m espnet_otreg.bin.prepare_corpus --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.data.corpora import CORPORA
from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Make the Kaldi data directory of one corpus in one language, with "
        "prep_log.json: what was kept, mended and dropped, and why.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--corpus", choices=sorted(CORPORA), required=True, help="its name")
    parser.add_argument("--language", required=True, help="ISO-639-1 code")
    parser.add_argument("--corpus_dir", type=Path, required=True, help="the publisher's files")
    parser.add_argument("--output_dir", type=Path, required=True, help="is replaced as a whole")
    return parser


def main() -> None:
    """Prepare and print the number of utterances."""
    arguments = get_parser().parse_args()
    prepare = CORPORA[arguments.corpus]
    log = prepare(arguments.corpus_dir, arguments.output_dir, arguments.language)
    print(f"{arguments.output_dir}: {log.kept} utterances, {log.seconds:.1f} s")


if __name__ == "__main__":
    run_main(main)
