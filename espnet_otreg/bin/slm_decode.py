"""Decode data directories with a model: OUTPUT/MODE/SET/{text,score,status.json}.

Run it again after an interruption: finished parts are kept. On a cluster, run --job 1..N
--num_jobs N as an array, then once without --job to put the results together.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from espnet_otreg.data.audio.options import add_audio_options, audio_options
from espnet_otreg.decoding import options
from espnet_otreg.decoding.options import MODES, DecodingOptions, check_modes, without_effect
from espnet_otreg.errors import run_main
from espnet_otreg.ranges import require_in_range

RANGES = {
    **options.RANGES,
    **options.WORK_RANGES,
    **options.WEIGHT_RANGES,
    "joint_weight": options.WEIGHT_RANGES["weight"],
}


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    modes = "; ".join(f"{mode}: {text}" for mode, text in MODES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model_dir", required=True, help="training or packed directory")
    parser.add_argument("--data_dir", required=True, nargs="+", help="feature or data directories")
    parser.add_argument("--output_dir", required=True, help="where the results go")
    parser.add_argument("--modes", nargs="+", default=["llm"], help=modes)
    parser.add_argument("--checkpoint", help="file name; else averaged, best or latest")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")

    def number(name: str, default: float | None, help: str, into: Any = parser) -> None:
        into.add_argument(f"--{name}", type=RANGES[name].read, default=default, help=help)

    number("batch_size", 32, "utterances decoded together")
    number("num_beams", 1, "1 is greedy; more: n-best (llm, joint)")
    number("num_samples", 0, "of the LLM (sample, joint)")
    number("temperature", 1.0, "of sampling")
    number("seed", 0, "of sampling")
    number("ctc_beam", 16, "prefixes kept (joint)")
    number("num_candidates", 8, "CTC hypotheses (joint)")
    number("tokens_per_second", 12.0, "length limit")
    number("extra_tokens", 10, "added to the limit")
    weight = parser.add_mutually_exclusive_group()
    number("joint_weight", 0.5, "of the LLM (joint)", weight)
    weight.add_argument("--joint_weight_dev", help="the data directory that chooses it, by WER")
    number("prior_weight", 0.0, "of the LLM alone (joint)")
    number("length_bonus", 0.0, "per token (joint)")
    add_audio_options(parser)
    number("job", None, "do only this share of the work, from 1")
    number("num_jobs", 1, "shares")
    return parser


def main() -> None:
    """Parse the command line and decode."""
    parser = get_parser()
    args = parser.parse_args()
    numbers = {name: value for name, value in vars(args).items() if value is not None}
    require_in_range(numbers, RANGES)
    settings = DecodingOptions(**{name: numbers[name] for name in options.RANGES})
    check_modes(args.modes, settings)
    chosen = {name: value for name, value in numbers.items() if value != parser.get_default(name)}
    for sentence in without_effect(chosen, args.modes):
        print(f"note: {sentence}", file=sys.stderr)
    from espnet_otreg.decoding.joint import JointWeights
    from espnet_otreg.decoding.run import decode_sets

    decode_sets(
        args.model_dir,
        args.data_dir,
        args.modes,
        args.output_dir,
        settings,
        joint_weights=JointWeights(args.joint_weight, args.length_bonus, args.prior_weight),
        joint_weight_dev=args.joint_weight_dev,
        checkpoint=args.checkpoint,
        device=args.device,
        batch_size=args.batch_size,
        job=args.job,
        num_jobs=args.num_jobs,
        audio=audio_options(args),
    )


if __name__ == "__main__":
    run_main(main)
