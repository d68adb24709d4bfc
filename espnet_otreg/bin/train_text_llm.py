"""Train a small LLM and its SentencePiece tokenizer on text alone (stage 5)."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import SEED


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="text and utt2lang to train on"
    )
    parser.add_argument("--corpus", type=Path, help="directory of <language>.txt: free text")
    parser.add_argument("--config", type=Path, help="YAML file of TextLLMSettings")
    parser.add_argument("--output", type=Path, required=True, help="Hugging Face directory to make")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--check", action="store_true", help="check configuration and languages, and end"
    )
    return parser


def main() -> None:
    """``train_text_llm --data_dir dump/raw/train --corpus data/text --output exp/llm``."""
    args = get_parser().parse_args()
    from espnet_otreg.text_llm.settings import check_languages, read_settings

    settings = read_settings(args.config)
    from espnet_otreg.data.kaldi_dir import read_table
    from espnet_otreg.data.languages import read_languages

    languages = read_languages(args.data_dir / "utt2lang")
    if args.check:
        check_languages(languages.values(), settings)
        return
    from espnet_otreg.text_llm.corpus import read_corpus
    from espnet_otreg.text_llm.settings import Sentence
    from espnet_otreg.text_llm.training import train_text_llm

    texts = read_table(args.data_dir / "text")
    transcripts = [Sentence(text, languages[key]) for key, text in texts.items()]
    if not args.corpus:
        print("warning: no --corpus: the LLM learns its languages from the transcripts alone")
    corpus = read_corpus(args.corpus, settings.languages) if args.corpus else {}
    train_text_llm(transcripts, corpus, settings, args.output, args.seed)
    print(f"made {args.output}")


if __name__ == "__main__":
    run_main(main)
