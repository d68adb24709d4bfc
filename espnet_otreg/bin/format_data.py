"""Convert a data directory to 16 kHz mono WAV: python -m espnet_otreg.bin.format_data --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.data.audio.options import add_audio_options, truth
from espnet_otreg.data.digests import UNREADABLE
from espnet_otreg.data.format import format_data
from espnet_otreg.data.own_text import RAW_TEXT
from espnet_otreg.data.prep_log import format_counts
from espnet_otreg.errors import run_main
from espnet_otreg.ranges import COUNT, JOBS, SECONDS


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
        "--limit", type=COUNT, default=0,
        help="utterances kept of each (domain, language), lowest sha256 of the id; 0 = all",
    )  # fmt: skip
    parser.add_argument("--min_duration", type=SECONDS, default=0.1, help="seconds")
    parser.add_argument("--max_duration", type=SECONDS, default=30.0, help="seconds")
    add_audio_options(parser)
    parser.add_argument(
        "--marks", type=Path,
        help="file with lines 'MARK remove', 'MARK keep', 'MARK drop' or 'MARK word TEXT' that say "
        "what marks such as [door] in the transcripts are",
    )  # fmt: skip
    parser.add_argument(
        "--skip_unreadable", type=truth, nargs="?", const=True, default=False,
        help="leave out utterances whose recording is missing or cannot be read; they are counted "
        "and listed in OUTPUT_DIR/unreadable, which is part of what everything made from it is",
    )  # fmt: skip
    parser.add_argument("--nj", type=JOBS, default=2, help="processes")
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
        skip_unreadable=arguments.skip_unreadable,
    )
    for sentence in report.conversions:
        print(sentence)
    dropped = format_counts({reason: len(ids) for reason, ids in report.dropped.items()})
    print(
        f"{arguments.output_dir}: {report.kept} utterances, {report.seconds:.1f} s; "
        f"dropped: {dropped}"
    )
    if report.unreadable:
        first = min(report.unreadable)
        print(
            f"{len(report.unreadable)} utterances without a readable recording are left out and "
            f"listed in {arguments.output_dir / UNREADABLE}, for instance {first}: "
            f"{report.unreadable[first]}"
        )
    if arguments.marks and (arguments.data_dir / RAW_TEXT).exists():
        print(f"{arguments.data_dir} has {RAW_TEXT}: its text is prepared, --marks is not used")
    if report.marks:
        print(f"marks: {format_counts({what: len(ids) for what, ids in report.marks.items()})}")


if __name__ == "__main__":
    run_main(main)
