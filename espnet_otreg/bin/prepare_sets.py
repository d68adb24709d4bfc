"""Make the sets of a recipe from published corpora: python -m espnet_otreg.bin.prepare_sets."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import run_main
from espnet_otreg.ranges import COUNT, JOBS

SETS = ("train", "dev", "test", "ood")


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    from espnet_otreg.data.corpora import published_corpora

    names = ", ".join(
        f"{name} ({', '.join(corpus.subsets)})"
        for name, corpus in sorted(published_corpora().items())
    )
    parser = argparse.ArgumentParser(
        description="Make train, dev, test and ood from the publishers' own sets, fetching what "
        "is not there; count the sentences of training in the others. Corpora and their sets: "
        f"{names}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name in SETS:
        parser.add_argument(
            f"--{name}", nargs="+", required=True, metavar="CORPUS:SET", help="what it is made of"
        )
    parser.add_argument(
        "--languages", required=True, help="codes or names with commas between them"
    )
    parser.add_argument(
        "--data_root", default="", help="directory with existing copies, one directory a corpus"
    )
    parser.add_argument(
        "--download_dir", type=Path, default="downloads", help="where the other corpora go"
    )
    parser.add_argument("--output_dir", type=Path, default="data", help="gets train, dev, ...")
    parser.add_argument(
        "--train_limit", type=COUNT, default=0,
        help="utterances of each corpus and language in train; 0 = all",
    )  # fmt: skip
    parser.add_argument("--nj", type=JOBS, default=2, help="files fetched or looked at at a time")
    return parser


def main() -> None:
    """Fetch, prepare, pool, and print the tables."""
    arguments = get_parser().parse_args()
    from espnet_otreg.data.corpora import published_corpora
    from espnet_otreg.data.languages import canonical_language
    from espnet_otreg.data.published_sets import parse_parts, pool_sets, prepare_parts

    languages = [canonical_language(name) for name in arguments.languages.split(",")]
    sets = {
        name: parse_parts(getattr(arguments, name), languages, need_all=name != "ood")
        for name in SETS
    }
    corpora = published_corpora()
    for corpus in dict.fromkeys(part.corpus for part in sets["ood"]):
        for language in languages:
            if not corpora[corpus].has(language):
                print(f"{corpus} is not in '{language}': no out-of-domain set of it")
    prepared = prepare_parts(
        [part for parts in sets.values() for part in parts],
        arguments.output_dir / "local",
        arguments.download_dir,
        arguments.data_root,
        arguments.nj,
    )
    directories = {name: [prepared[part] for part in parts] for name, parts in sets.items()}
    print(pool_sets(directories, arguments.output_dir, arguments.train_limit))


if __name__ == "__main__":
    run_main(main)
