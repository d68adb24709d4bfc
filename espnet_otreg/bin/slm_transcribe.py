"""Transcribe recordings: one line of text for each file, in their order."""

from __future__ import annotations

import argparse

from espnet_otreg.data.validate import require_recordings
from espnet_otreg.errors import run_main


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="+", help="WAV, FLAC, Ogg, MP3, ... of any rate")
    parser.add_argument("--model_dir", required=True, help="packed or training directory")
    parser.add_argument("--language", required=True, help="ISO-639-1 code, for the prompt")
    parser.add_argument("--mode", help="ctc, llm or joint (default, where there is CTC)")
    parser.add_argument("--checkpoint", help="file name; else averaged, best or latest")
    parser.add_argument("--encoder", help="the encoder's directory or hub name, if it has moved")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    return parser


def main() -> None:
    """Parse the command line and print the transcripts."""
    args = get_parser().parse_args()
    # Before the model is loaded: a misspelt file is no reason to wait.
    require_recordings(args.audio, args.language)
    from espnet_otreg.slm.speech_lm import SpeechLM

    model = SpeechLM.from_pretrained(
        args.model_dir, checkpoint=args.checkpoint, encoder=args.encoder, device=args.device
    )
    for path in args.audio:
        print(model.transcribe(path, args.language, args.mode), flush=True)


if __name__ == "__main__":
    from espnet_otreg.slm.startup import without_compiler

    with without_compiler():
        run_main(main)
