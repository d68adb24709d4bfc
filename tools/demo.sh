#!/usr/bin/env bash
# A first look, from nothing to the table: install what is missing, run the recipe mini_multi with
# the short trainings of its preset demo, print its word error rates. What is done already is not
# done again.
#
#   tools/demo.sh [OPTIONS]      those of egs2/mini_multi/slm1/run.sh, for instance --full
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
recipe=${root}/egs2/mini_multi/slm1
venv=${OTREG_VENV:-${root}/tools/venv}
# shellcheck source=lib_install.sh
. "${root}/tools/lib_install.sh"

# What the installation took where the times of the recipe were measured; the recipe itself then
# tells how long the rest will take here.
tell_installation() {
  local times=${recipe}/conf/demo/times.json
  [[ -f "${times}" ]] || return 0
  fact() { sed -n "s/^ *\"installed_$1\": \([0-9]*\).*/\1/p" "${times}"; }
  log_line "first, $(fact packages) packages of Python, $(fact megabytes) MB on the disk, each" \
    "under its own licence: $(fact seconds) s on the machine of ${times#"${root}"/}"
}

# The archives come while packages are unpacked: the program that fetches them needs none of these.
fetch_meanwhile() {
  local python log=${recipe}/downloads/log/meanwhile.log
  python=$(find_python 2>/dev/null) || return 0 # the installation says what is wrong
  mkdir -p "${log%/*}"
  PYTHONPATH=${root} "${python}" -m espnet_otreg.bin.fetch_archives \
    --download_dir "${recipe}/downloads" >"${log}" 2>&1 &
  local fetching=$!
  trap 'kill "${fetching}" 2>/dev/null || true' EXIT
}

if [[ "${1:-}" != --help ]]; then
  if [[ ! -e "${venv}/.otreg-installed" ]]; then
    tell_installation
    (($# > 0)) || fetch_meanwhile # options may say that the data are there, or belong elsewhere
  fi
  "${root}/tools/install.sh" --without_tests
  wait # if it has failed, stage data fetches again, and says why it cannot
  trap - EXIT
fi
# Of the acted English, which is most of the training speech, a part.
exec "${recipe}/run.sh" --preset demo --train_limit 1000 "$@"
