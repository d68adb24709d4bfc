"""multi_domain from the publishers' layouts to the packed model: too long for every change.

``tools/nightly.sh`` runs it; test/egs2/test_recipes.py has what is short.
"""

from __future__ import annotations

import re
from pathlib import Path

import jiwer
import pytest
from tiny_llm import build_tiny_llm
from tiny_multi_domain import LANGUAGES, MultiDomainRecipe

from espnet_otreg.data.kaldi_dir import read_table

OUT_OF_DOMAIN = {"commonvoice", "fleurs", "voxpopuli"}


def macro_cer(recipe: Path, name: str, domains: set[str]) -> float:
    """The mean over languages of the mean over their test sets, by another program."""
    references = read_table(recipe / f"dump/raw/{name}/text")
    hypotheses = read_table(recipe / f"exp/tiny/otreg_s1/llm/{name}/text")
    of = {key: read_table(recipe / f"dump/raw/{name}/{key}") for key in ("utt2lang", "utt2domain")}
    means = []
    for language in LANGUAGES:
        rates = []
        for domain in sorted(domains):
            keys = [
                key for key in references
                if (of["utt2lang"][key], of["utt2domain"][key]) == (language, domain)
            ]  # fmt: skip
            assert len(keys) == 2
            rates.append(jiwer.cer([references[k] for k in keys], [hypotheses[k] for k in keys]))
        means.append(sum(rates) / len(rates))
    return 100 * sum(means) / len(means)


@pytest.mark.timeout(3600)
def test_multi_domain_from_the_first_to_the_last_stage(tiny_whisper: Path, tmp_path: Path) -> None:
    recipe = MultiDomainRecipe(tmp_path, tiny_whisper, build_tiny_llm(tmp_path / "llm"))
    done = recipe.run()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    stages = re.findall(r"stage (\d+) \w+: (?:done|up to date)", done.stdout)
    assert stages == [str(number) for number in range(1, 15)]
    report = (recipe.directory / "exp/tiny/report/results.md").read_text()
    table = report.split("**Macro over languages (%)**")[1].split("**")[0]
    assert "| system | ID WER | ID CER | OOD WER | OOD CER |" in table
    (row,) = [line for line in table.splitlines() if line.startswith("| OTReg, LLM")]
    _, _, in_domain, _, outside = [cell.split()[0] for cell in row.strip("| ").split(" | ")]
    assert float(in_domain) == pytest.approx(
        macro_cer(recipe.directory, "test", {"mls"}), abs=0.051
    )
    assert float(outside) == pytest.approx(
        macro_cer(recipe.directory, "ood", OUT_OF_DOMAIN), abs=0.051
    )
    labels = {f"{language} {domain}" for language in LANGUAGES for domain in OUT_OF_DOMAIN}
    labels |= {f"{language} mls" for language in LANGUAGES}
    by_set = report.split("**By test set")[1]
    assert set(re.findall(r"^\| (\w\w \w+) \| OTReg, LLM", by_set, re.MULTILINE)) == labels
    assert (recipe.directory / "exp/tiny/otreg_s1/packed/model/README.md").is_file()
