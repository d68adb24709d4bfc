#!/usr/bin/env bash
# Stage 1 of fleurs: sentences of Wikipedia, and VoxPopuli out of domain, to data/{train,dev,test,ood}.
set -euo pipefail

languages=de,fr,es,it,nl,pl

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Takes or fetches FLEURS (CC BY 4.0) and the test sets of VoxPopuli (CC0), which are out of domain.
FLEURS has 102 languages; those that VoxPopuli lacks are tested in domain only.

  --languages LIST    ISO-639-1 codes with commas between them         (default: de,fr,es,it,nl,pl)
  --train_limit N     utterances of each language to train on, 0: all  (default: 0)
  --data_root DIR     existing copies, nothing of these is fetched     (default: fetch)
                        fleurs/ holds data/de_de/{test.tsv,audio/test.tar.gz}, ...
                        voxpopuli/ holds transcribed_data/de/asr_test.tsv, ...; or data/de/asr_test.tsv, ...
  --download_dir DIR  where downloads go                               (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              files fetched or looked at at a time             (default: 2)
EOF
}

# shellcheck source=../../../TEMPLATE/slm1/utils/published_sets.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1/utils/published_sets.sh"

prepare_sets --languages "${languages}" \
  --train fleurs:train --dev fleurs:dev --test fleurs:test --ood voxpopuli:test
