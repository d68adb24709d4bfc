"""Make training speech from text: python -m espnet_otreg.bin.synthesize --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import JOBS


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Have sentences read aloud by synthetic voices (docs/synthetic_speech.md) and "
        "write them as a data directory of 16 kHz WAV files, every utterance labelled with engine "
        "and voice. The same command again goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="synthesis.yaml")
    parser.add_argument("--corpus", type=Path, required=True, help="directory with LANGUAGE.txt")
    parser.add_argument(
        "--exclude",
        type=Path,
        nargs="+",
        default=[],
        help="data directories of development and test sets, or a directory that holds them and "
        "train: none of their sentences is read, and no voice that reads them may train",
    )
    parser.add_argument("--output", type=Path, required=True, help="data directory to write")
    parser.add_argument(
        "--download_dir",
        type=Path,
        help="fetch Flite, Festival and RHVoice there, without root, where they are not installed",
    )
    parser.add_argument("--nj", type=JOBS, default=1, help="speakers at a time")
    parser.add_argument(
        "--accept_licence",
        action="store_true",
        help="you have read and accept the terms of the voices that are not free",
    )
    parser.add_argument("--check", action="store_true", help="check everything, say nothing aloud")
    return parser


def main() -> None:
    """Check, say whose voices these are, speak, and say how much there is."""
    args = get_parser().parse_args()
    from espnet_otreg.data.combine import kept_out, read_transcripts
    from espnet_otreg.data.synthesis.catalogue import licences
    from espnet_otreg.data.synthesis.config import check_not_tested, read_synthesis
    from espnet_otreg.data.synthesis.plan import plan_speech
    from espnet_otreg.data.synthesis.sources import read_sentences, voices_of_tests
    from espnet_otreg.data.synthesis.speaking import prepare_voices
    from espnet_otreg.data.synthesis.spoken_set import speak_plan

    config = read_synthesis(args.config, args.accept_licence)
    excluded = kept_out(args.exclude)
    check_not_tested(config, voices_of_tests(excluded))
    for line in licences(config.voices()):
        print(line, flush=True)
    voices_dir = prepare_voices(config.voices(), args.download_dir)
    if args.check:
        return
    texts = read_sentences(args.corpus, config.languages)
    plan = plan_speech(config, texts, read_transcripts(excluded))
    for language, part in plan.short.items():
        print(f"{language}: the text is enough for {part:.0%} of what was asked for")
    report = speak_plan(plan, args.output, args.nj, voices_dir)
    for key, count in report.utterances.items():
        print(f"{key}: {count} utterances, {report.seconds[key] / 3600:.2f} h")
    left_out = ", ".join(f"{number} {reason}" for reason, number in plan.dropped.items())
    print(f"sentences left out: {left_out or 'none'}; utterances left out: {len(report.faults)}")
    rate = report.spoken_seconds / report.wall_seconds
    print(
        f"{args.output}: {report.hours:.2f} h; made now: {report.spoken_seconds:.0f} s of speech "
        f"in {report.wall_seconds:.0f} s, {rate:.1f} s per second"
    )


if __name__ == "__main__":
    run_main(main)
