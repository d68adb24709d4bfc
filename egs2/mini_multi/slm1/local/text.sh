#!/usr/bin/env bash
# The text of mini_multi (stage 1): free sentences in the five languages, to data/llm_text.
set -euo pipefail

data_root=""
download_dir=downloads
exclude="data/preference data/dev data/test data/ood"
output=data/llm_text

usage() {
  cat <<'EOF'
Usage: local/text.sh [options]

Fetches games' dialogues (Battle for Wesnoth), sayings (fortunes) and help pages (GNOME) as Debian
packages (58 MB), prints their licences, and makes one file of normalised sentences per language.
No sentence of a development or test set, or of data/preference, is among them.

  --data_root DIR     take the .deb files from DIR, if it has any, and fetch nothing
                                                                       (default: fetch)
  --download_dir DIR  where archives and their files go                (default: downloads)
  --exclude "DIRS"    data directories whose sentences are left out
                      (default: data/preference data/dev data/test data/ood)
  --output DIR        where LANGUAGE.txt goes                          (default: data/llm_text)
EOF
}

template=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1" && pwd)
# shellcheck source=../../../TEMPLATE/slm1/path.sh
. "${template}/path.sh"
# shellcheck source=../../../TEMPLATE/slm1/utils/parse_options.sh
. "${template}/utils/parse_options.sh"

# A corpus of one's own comes without packages of text.
if ! compgen -G "${data_root}/*.deb" >/dev/null; then
  data_root=""
fi
read -ra excluded <<<"${exclude}"
python -m espnet_otreg.bin.collect_text --download_dir "${download_dir}" \
  --data_root "${data_root}" --exclude "${excluded[@]}" --output "${output}"
