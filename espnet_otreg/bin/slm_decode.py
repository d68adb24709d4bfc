"""Decode data directories with a model: OUTPUT/MODE/SET/{text,score,status.json}.

Run it again after an interruption: finished parts are kept. On a cluster, run --job 1..N
--num_jobs N as an array, then once without --job to put the results together.
"""

from __future__ import annotations

import argparse

from espnet_otreg.data.audio.options import add_audio_options, audio_options
from espnet_otreg.decoding.options import MODES
from espnet_otreg.errors import run_main


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
    parser.add_argument("--batch_size", type=int, default=32, help="utterances decoded together")
    parser.add_argument(
        "--num_beams", type=int, default=1, help="1 is greedy; more: n-best (llm, joint)"
    )
    parser.add_argument("--num_samples", type=int, default=0, help="of the LLM (sample, joint)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of sampling")
    parser.add_argument("--seed", type=int, default=0, help="of sampling")
    parser.add_argument("--ctc_beam", type=int, default=16, help="prefixes kept (joint)")
    parser.add_argument("--num_candidates", type=int, default=8, help="CTC hypotheses (joint)")
    parser.add_argument("--tokens_per_second", type=float, default=12.0, help="length limit")
    parser.add_argument("--extra_tokens", type=int, default=10, help="added to the limit")
    weight = parser.add_mutually_exclusive_group()
    weight.add_argument("--joint_weight", type=float, default=0.5, help="of the LLM (joint)")
    weight.add_argument("--joint_weight_dev", help="the data directory that chooses it, by WER")
    parser.add_argument("--prior_weight", type=float, default=0.0, help="of the LLM alone (joint)")
    parser.add_argument("--length_bonus", type=float, default=0.0, help="per token (joint)")
    add_audio_options(parser)
    parser.add_argument("--job", type=int, help="do only this share of the work, from 1")
    parser.add_argument("--num_jobs", type=int, default=1, help="shares")
    return parser


def main() -> None:
    """Parse the command line and decode."""
    args = get_parser().parse_args()
    from dataclasses import fields

    from espnet_otreg.decoding.joint import JointWeights
    from espnet_otreg.decoding.options import DecodingOptions
    from espnet_otreg.decoding.run import decode_sets

    names = {field.name for field in fields(DecodingOptions)}
    decode_sets(
        args.model_dir,
        args.data_dir,
        args.modes,
        args.output_dir,
        DecodingOptions(**{name: value for name, value in vars(args).items() if name in names}),
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
