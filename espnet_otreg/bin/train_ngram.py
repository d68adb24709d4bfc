"""Estimate a word n-gram of every language from the text that the small LLM is trained on."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import Range


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="text and utt2lang to train on"
    )
    parser.add_argument("--corpus", type=Path, help="directory of <language>.txt: free text")
    parser.add_argument("--order", type=Range(2, 6, whole=True), default=3, help="words [3]")
    parser.add_argument("--output", type=Path, required=True, help="<language>.arpa go here")
    return parser


def main() -> None:
    """``train_ngram --data_dir dump/raw/train --corpus data/llm_text --output exp/mini/ngram``."""
    args = get_parser().parse_args()
    from espnet_otreg.data.kaldi_dir import read_table
    from espnet_otreg.data.languages import read_languages
    from espnet_otreg.scoring.normalize import split_units
    from espnet_otreg.text_llm.ngram import NGram
    from espnet_otreg.utf8 import read_utf8

    languages = read_languages(args.data_dir / "utt2lang")
    texts: dict[str, list[str]] = {language: [] for language in sorted(set(languages.values()))}
    for key, text in read_table(args.data_dir / "text").items():
        texts[languages[key]].append(text)
    for language, lines in texts.items():
        free = args.corpus / f"{language}.txt" if args.corpus else None
        if free is not None and free.is_file():
            lines += read_utf8(free).splitlines()
        model = NGram((split_units(line, language) for line in lines), args.order)
        model.write(args.output / f"{language}.arpa")
        print(f"{language}: {len(lines)} sentences, {len(model.probs)} n-grams")


if __name__ == "__main__":
    run_main(main)
