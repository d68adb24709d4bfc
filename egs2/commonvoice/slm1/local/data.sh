#!/usr/bin/env bash
# Stage 1 of commonvoice: sentences read by volunteers, and FLEURS out of domain, to data/{train,dev,test,ood}.
set -euo pipefail

languages=de,fr,es,it,nl,pl

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Takes Common Voice (CC0), which cannot be fetched without an account: download the languages of
one release from https://datacollective.mozillafoundation.org, unpack them and give --data_root.
Fetches the test sets of FLEURS (CC BY 4.0), which are out of domain, unless they are there too.

  --languages LIST    ISO-639-1 codes with commas between them         (default: de,fr,es,it,nl,pl)
  --train_limit N     utterances of each language to train on, 0: all  (default: 0)
  --data_root DIR     existing copies, nothing of these is fetched     (default: fetch)
                        commonvoice/ holds cv-corpus-VERSION-DATE/de/{clips,test.tsv,...}, one release
                        fleurs/ holds data/de_de/{test.tsv,audio/test.tar.gz}, ...
  --download_dir DIR  where downloads go                               (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              files fetched or looked at at a time             (default: 2)
EOF
}

# shellcheck source=../../../TEMPLATE/slm1/utils/published_sets.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1/utils/published_sets.sh"

prepare_sets --languages "${languages}" \
  --train commonvoice:train --dev commonvoice:dev --test commonvoice:test --ood fleurs:test
