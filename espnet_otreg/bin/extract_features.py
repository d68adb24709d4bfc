"""Encode data directories once with a frozen pretrained encoder: feats.scp and feats.json.

Run it again after an interruption: finished jobs are kept. On a cluster, run --job 1..N
--num_jobs N as an array, then once without --job to write the tables.
"""

from __future__ import annotations

import argparse

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.ranges import COUNT, JOBS, SECONDS, SEED, SHARES
from espnet_otreg.startup import without_garbage_collection


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", required=True, nargs="+", help="data directories with wav.scp (16 kHz mono)"
    )
    parser.add_argument(
        "--output", required=True, nargs="+", help="feature directories to write, one for each"
    )
    parser.add_argument(
        "--model", required=True, help="Whisper, wav2vec 2.0 or w2v-BERT: directory or hub name"
    )
    parser.add_argument("--nj", type=JOBS, default=1, help="jobs at a time")
    parser.add_argument("--job", type=SHARES, help="do only this job, from 1")
    parser.add_argument("--num_jobs", type=SHARES, help="jobs to cut the work into")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument(
        "--layer",
        type=COUNT,
        help="take the hidden state behind this layer (0: before the first) of a Whisper model",
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="float32",
        help="precision of encoder and archive; auto: the faster one, by a measurement",
    )
    parser.add_argument(
        "--batch_seconds",
        type=SECONDS,
        help="padded audio encoded at once (default: 0, one by one, on cpu; 240 on cuda)",
    )
    parser.add_argument("--trailing_silence", type=SECONDS, default=0.5, help="seconds appended")
    parser.add_argument(
        "--augment_copies",
        type=COUNT,
        default=0,
        help="augmented copies to add",
    )
    parser.add_argument("--only_augmented", action="store_true", help="leave the originals out")
    parser.add_argument("--augment_config", help="YAML with probabilities and ranges")
    parser.add_argument("--seed", type=SEED, default=0, help="of the augmentation")
    return parser


def main() -> None:
    """Parse the command line and run."""
    arguments = vars(get_parser().parse_args())
    data, output = arguments.pop("data"), arguments.pop("output")
    if len(data) != len(output):
        raise UserError(f"--data names {len(data)} directories, --output {len(output)}")
    with without_garbage_collection():
        from espnet_otreg.features.extraction import extract_features

    for source, target in zip(data, output, strict=True):
        extract_features(source, target, **arguments)


if __name__ == "__main__":
    run_main(main)
