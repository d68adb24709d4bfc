#!/usr/bin/env bash
# Have every engine of synthetic speech read a sentence. Fetches Flite, Festival and RHVoice where
# they are not installed, without root (170 MB); as root it also installs MBROLA with a voice, if
# apt knows it.
#
#   tools/test_voices.sh [PYTEST ARGUMENTS]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${OTREG_VENV:-${root}/tools/venv}
# shellcheck source=lib_debian.sh
. "${root}/tools/lib_debian.sh"

if [[ "${1:-}" == --help ]]; then
  print_help "${BASH_SOURCE[0]}"
  exit 0
fi
"${root}/tools/install.sh"
(
  cd "${root}"
  "${venv}/bin/python" -m espnet_otreg.bin.synthesize --check --download_dir "${root}/tools/debian" \
    --config egs2/mini_multi/slm1/conf/mini/synthesis.yaml --corpus . --output .
)
if ((EUID == 0)) && apt-cache show mbrola mbrola-fr1 >/dev/null 2>&1; then
  for package in espeak-ng mbrola mbrola-fr1; do
    dpkg -s "${package}" >/dev/null 2>&1 || install_package "${package}"
  done
else
  log_line "MBROLA is not among the voices: apt does not know it, or you are not root"
fi
export OTREG_VOICES=${root}/tools/debian/voices
exec "${root}/tools/test.sh" "${root}/test/data/synthesis/test_speakers.py" --numprocesses 0 "$@"
