"""Transcribe recordings: files, directories, quoted patterns, or standard input ('-').

Goes on after a recording that cannot be transcribed; says which, counts them at the end and ends
with status 1.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from espnet_otreg.decoding.modes import SAMPLES, Mode, configure_modes, known_modes, mode_options
from espnet_otreg.errors import UserError, run_main
from espnet_otreg.inference.outputs import FORMATS, quiet_about_closed_pipe
from espnet_otreg.inference.startup import without_compiler
from espnet_otreg.ranges import BATCH_SIZE
from espnet_otreg.startup import without_garbage_collection

if TYPE_CHECKING:
    from espnet_otreg.inference.speech_lm import SpeechLM

Start = Callable[[], contextlib.AbstractContextManager[None]]


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="*", help="WAV, FLAC, Ogg, MP3, ... of any rate")
    parser.add_argument("--list", help="a file with one path a line, or path, tab and language")
    parser.add_argument("--model_dir", required=True, help="packed or training directory")
    parser.add_argument("--language", help="code or English name, for the prompt; auto: identify")
    parser.add_argument(
        "--mode", help="ctc, llm, joint (default, where there is CTC), sample or llm_no_speech"
    )
    parser.add_argument(
        "--num_samples",
        type=mode_options()["num_samples"].read,
        default=8,
        help="of the LLM (mode sample)",
    )
    formats = "; ".join(f"{kind}: {text}" for kind, text in FORMATS.items())
    parser.add_argument("--format", default="txt", choices=FORMATS, help=formats)
    parser.add_argument("--output", help="file, which appears when all is done; else the screen")
    parser.add_argument(
        "--batch_size",
        type=BATCH_SIZE.read,
        default=1,
        help="recordings decoded together; more is faster",
    )
    parser.add_argument(
        "--checkpoint", help="file name; else the experiment's; else averaged, best, latest"
    )
    parser.add_argument("--encoder", help="the encoder's directory or hub name, if it has moved")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    return parser


def main(start: Start = contextlib.nullcontext) -> None:
    """Parse the command line and transcribe; ``start`` is entered before anything heavy."""
    parser = get_parser()
    args = parser.parse_args()
    if not args.audio and args.list is None:
        parser.error("the following arguments are required: audio (or --list)")
    from espnet_otreg.inference.inputs import find_inputs
    from espnet_otreg.inference.transcribe import Task, transcribe

    samples = args.mode is not None and SAMPLES in known_modes().get(args.mode, Mode).needs
    options = {"num_samples": args.num_samples} if samples else {}
    if args.mode is not None:
        mode = configure_modes([args.mode], options)[args.mode]
        if mode.source is not None:
            what = f"mode {args.mode!r}: {mode.summary}"
            raise UserError(what, "--mode", "take slm_decode")
    task = Task(
        find_inputs(args.audio, args.list),
        args.model_dir,
        args.language,
        args.mode,
        args.format,
        args.output,
        args.batch_size,
    )

    def load() -> SpeechLM:
        with without_garbage_collection():
            from espnet_otreg.inference.speech_lm import SpeechLM

            return SpeechLM.from_pretrained(
                args.model_dir,
                checkpoint=args.checkpoint,
                encoder=args.encoder,
                device=args.device,
                options=options,
            )

    with quiet_about_closed_pipe(), start():
        transcribe(task, load)


if __name__ == "__main__":
    run_main(lambda: main(without_compiler))
