"""Convert a data directory to 16 kHz mono WAV: python -m espnet_otreg.bin.format_data --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.data.audio.options import add_audio_options
from espnet_otreg.data.format import format_data
from espnet_otreg.data.own_text import RAW_TEXT
from espnet_otreg.data.prep_log import format_counts
from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Check a data directory (wav.scp, text, utt2lang; any audio format and rate) "
        "and convert it to 16 kHz mono WAV. An interrupted run goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="what to convert")
    parser.add_argument("--output_dir", type=Path, required=True, help="the converted directory")
    parser.add_argument(
        "--limit", type=int, default=0,
        help="utterances kept of each (domain, language), lowest sha256 of the id; 0 = all",
    )  # fmt: skip
    parser.add_argument("--min_duration", type=float, default=0.1, help="seconds")
    parser.add_argument("--max_duration", type=float, default=30.0, help="seconds")
    add_audio_options(parser)
    parser.add_argument(
        "--marks", type=Path,
        help="file with lines 'MARK remove', 'MARK keep', 'MARK drop' or 'MARK word TEXT' that say "
        "what marks such as [door] in the transcripts are",
    )  # fmt: skip
    parser.add_argument("--nj", type=int, default=2, help="processes")
    return parser


def main() -> None:
    """Convert and print what was kept and dropped."""
    arguments = get_parser().parse_args()
    report = format_data(
        arguments.data_dir,
        arguments.output_dir,
        limit=arguments.limit,
        min_duration=arguments.min_duration,
        max_duration=arguments.max_duration,
        mix_channels=arguments.mix_channels,
        resample=arguments.resample,
        jobs=arguments.nj,
        marks=arguments.marks,
    )
    for sentence in report.conversions:
        print(sentence)
    dropped = format_counts({reason: len(ids) for reason, ids in report.dropped.items()})
    print(
        f"{arguments.output_dir}: {report.kept} utterances, {report.seconds:.1f} s; "
        f"dropped: {dropped}"
    )
    if arguments.marks and (arguments.data_dir / RAW_TEXT).exists():
        print(f"{arguments.data_dir} has {RAW_TEXT}: its text is prepared, --marks is not used")
    if report.marks:
        print(f"marks: {format_counts({what: len(ids) for what, ids in report.marks.items()})}")


if __name__ == "__main__":
    run_main(main)
