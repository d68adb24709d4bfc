"""Fetch free text for the mini LLM: python -m espnet_otreg.bin.collect_text --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import UserError, run_main


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Fetch freely licensed text (games, sayings, help pages) as Debian packages, "
        "without root, print the licences, and write normalised sentences, one file per language; "
        "or take text of your own. Sentences that stand in an excluded data directory are left "
        "out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--languages", nargs="+", default=["en", "es", "fr", "it", "ru"])
    parser.add_argument("--download_dir", type=Path, help="where the files go")
    parser.add_argument("--text", type=Path, help="directory with your LANGUAGE.txt; fetch nothing")
    parser.add_argument("--data_root", default="", help="existing .deb files; fetch nothing")
    parser.add_argument(
        "--exclude",
        type=Path,
        nargs="+",
        default=[],
        help="data directories of dev and test sets, or a directory that holds them and train",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory for LANGUAGE.txt")
    return parser


def main() -> None:
    """Fetch, collect, and say how much there is and what was left out."""
    args = get_parser().parse_args()
    from espnet_otreg.data.archives import obtain
    from espnet_otreg.data.combine import kept_out, read_transcripts
    from espnet_otreg.data.languages import canonical_language
    from espnet_otreg.text_llm.corpus import collect_text, write_corpus
    from espnet_otreg.text_llm.packages import TEXT_SOURCES

    if (args.text is None) == (args.download_dir is None):
        raise UserError("either your own text or one to fetch", "--text, --download_dir")
    if args.text is not None:
        languages = sorted(path.stem for path in args.text.glob("*.txt"))
        places = [args.text]
        if not languages:
            raise UserError("no LANGUAGE.txt here", str(args.text), "for instance en.txt")
    else:
        languages = [canonical_language(name) for name in args.languages]
        places = [args.download_dir / name for name in TEXT_SOURCES]
        for source in TEXT_SOURCES.values():
            way = obtain(source, args.download_dir, args.data_root)
            print(f"{source.name}: {way}\n  {source.licence}: {source.attribution}", flush=True)
    corpus = collect_text(places, languages, read_transcripts(kept_out(args.exclude)))
    write_corpus(corpus, args.output)
    for language, sentences in corpus.sentences.items():
        words = sum(len(sentence.split()) for sentence in sentences)
        print(f"{language}: {len(sentences)} sentences, {words} words")
    print("left out: " + ", ".join(f"{n} {reason}" for reason, n in corpus.dropped.items()))


if __name__ == "__main__":
    run_main(main)
