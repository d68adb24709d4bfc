"""Measure speech against text embeddings: python -m espnet_otreg.bin.slm_analyze --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.startup import without_garbage_collection


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Measure modality gap, retrieval of the right transcript, share of frames on "
        "the anchor and anisotropy of a trained model, by language and test set.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model_dir", type=Path, required=True, help="training directory")
    parser.add_argument(
        "--checkpoint", help="file name; else the experiment's; else averaged, best, latest"
    )
    parser.add_argument("--data_dir", type=Path, nargs="+", required=True, help="test sets")
    parser.add_argument("--output", type=Path, required=True, help="analysis.json to write")
    parser.add_argument(
        "--in_domain",
        nargs="*",
        metavar="DOMAIN",
        help="the domains that are in-domain, or no name for none; core_sounds if not given",
    )
    parser.add_argument(
        "--beside",
        nargs="*",
        default=[],
        metavar="DOMAIN",
        help="domains that stand beside the out-of-domain sets and count in no mean of theirs",
    )
    parser.add_argument("--plan_image", type=Path, help="PNG of a transport plan to draw")
    parser.add_argument("--plan_utterance", help="id of its utterance; chosen if not given")
    parser.add_argument(
        "--audio_dir", type=Path, nargs="+", default=[], help="directories with its recording"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    return parser


def main() -> None:
    """Measure, draw, and print one line for each test set."""
    args = get_parser().parse_args()
    with without_garbage_collection():
        from espnet_otreg.files import write_json
        from espnet_otreg.report.analyze import analyze
        from espnet_otreg.report.plan_picture import draw_plan, plan_of
        from espnet_otreg.slm.build import load_model

        model = load_model(args.model_dir, args.checkpoint, args.device)
    analysis = analyze(model, args.data_dir, args.in_domain, args.beside)
    write_json(args.output, analysis)
    if args.plan_image:
        plan = plan_of(model, args.data_dir, args.plan_utterance, args.audio_dir)
        try:
            draw_plan(plan, args.plan_image)
        except UserError as error:  # no matplotlib: the numbers matter more than the picture
            print(f"warning: no picture: {error}")
    for entry in analysis["sets"]:
        name = f"{entry['language']} {entry['domain']}"
        if entry["gap_cosine"] is None:
            print(f"{name}: a single utterance, nothing to compare its transcript with")
            continue
        print(
            f"{name}: gap {entry['gap_cosine']:.3f} (cosine) {entry['gap_transport']:.3f} "
            f"(transport), retrieval {entry['retrieval_transport']:.0f} % "
            f"(chance {entry['chance']:.0f} %)"
        )


if __name__ == "__main__":
    run_main(main)
