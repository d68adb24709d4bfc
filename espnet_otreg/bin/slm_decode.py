"""Decode data directories with a model: OUTPUT/MODE/SET/{text,score,status.json}.

Run it again after an interruption: finished parts are kept. On a cluster, run --job 1..N
--num_jobs N as an array, then once without --job to put the results together.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from espnet_otreg.data.audio.options import add_audio_options, audio_options
from espnet_otreg.decoding.modes import (
    configure_modes,
    known_modes,
    mode_options,
    without_effect,
)
from espnet_otreg.errors import ConfigErrors, run_main
from espnet_otreg.ranges import WORK_RANGES, range_errors
from espnet_otreg.startup import without_garbage_collection

_FEW = 4  # modes that are listed behind an option


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    modes = known_modes()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model_dir", required=True, help="training or packed directory")
    parser.add_argument("--data_dir", required=True, nargs="+", help="feature or data directories")
    parser.add_argument("--output_dir", required=True, help="where the results go")
    parser.add_argument(
        "--modes",
        nargs="+",
        default=["llm"],
        help="; ".join(f"{name}: {mode.summary}" for name, mode in modes.items()),
    )
    parser.add_argument(
        "--checkpoint", help="file name; else the experiment's; else averaged, best, latest"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument(
        "--batch_size",
        type=WORK_RANGES["batch_size"].read,
        default=32,
        help="utterances decoded together",
    )
    groups: dict[str, Any] = {}
    for name, about in mode_options().items():
        into = parser
        if about.alternatives is not None:
            if about.alternatives not in groups:
                groups[about.alternatives] = parser.add_mutually_exclusive_group()
            into = groups[about.alternatives]
        readers = [mode for mode, cls in modes.items() if name in cls.options()]
        into.add_argument(
            f"--{name}",
            type=about.read,
            default=about.default,
            help=about.help + (f" ({', '.join(readers)})" if len(readers) <= _FEW else ""),
        )
    add_audio_options(parser)
    job, num_jobs = WORK_RANGES["job"].read, WORK_RANGES["num_jobs"].read
    parser.add_argument("--job", type=job, help="do only this share of the work, from 1")
    parser.add_argument("--num_jobs", type=num_jobs, default=1, help="shares")
    return parser


def main() -> None:
    """Parse the command line and decode."""
    parser = get_parser()
    args = parser.parse_args()
    given = vars(args)
    values = {name: given[name] for name in mode_options() if given[name] is not None}
    errors = range_errors({n: v for n, v in given.items() if v is not None}, WORK_RANGES)
    try:
        modes = configure_modes(args.modes, values)
    except ConfigErrors as found:
        errors += found.errors
    if errors:
        raise ConfigErrors(errors)
    chosen = {name: value for name, value in values.items() if value != parser.get_default(name)}
    for sentence in without_effect(chosen, modes):
        print(f"note: {sentence}", file=sys.stderr)
    with without_garbage_collection():
        from espnet_otreg.decoding.run import decode_sets

    decode_sets(
        args.model_dir,
        args.data_dir,
        modes,
        args.output_dir,
        checkpoint=args.checkpoint,
        device=args.device,
        batch_size=args.batch_size,
        job=args.job,
        num_jobs=args.num_jobs,
        audio=audio_options(args),
    )


if __name__ == "__main__":
    run_main(main)
