# shellcheck shell=bash disable=SC2154
# Finding a Python and making, mending and filling the virtual environment. Sourced by install.sh.
# ${root} is the repository, ${venv} the environment's absolute path, ${torch} the --torch option.
# shellcheck source=lib.sh
. "${root}/tools/lib.sh"

python_is_suitable() { # python_is_suitable PYTHON: setup.py allows its version
  "$1" "${root}/tools/check_install.py" --python_only &>/dev/null </dev/null
}

python_makes_venvs() {
  "$1" -c 'import ensurepip, venv' &>/dev/null </dev/null
}

python_version() {
  "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null </dev/null
}

python_range() {
  sed -n 's/.*python_requires="\(.*\)".*/\1/p' "${root}/setup.py"
}

# Paths of Pythons, one a line: PATH first, then what pyenv, uv and conda installed, active or not.
candidate_pythons() {
  local name directory
  for name in python3.12 python3.13 python3 python; do
    type -ap "${name}" || true
  done
  if command -v uv >/dev/null; then
    uv python find --no-python-downloads "$(python_range)" 2>/dev/null </dev/null || true
  fi
  for directory in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/* \
    "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/uv/python}"/* \
    "${CONDA_PREFIX:-/opt/conda}"{,/envs/*} \
    "${HOME:-}"/{miniconda3,miniforge3,anaconda3}{,/envs/*}; do
    [[ ! -x "${directory}/bin/python3" ]] || echo "${directory}/bin/python3"
  done
}

# Prints the first candidate that will do. 3.12 comes before others: editdistance, which ESPnet
# needs, is published compiled up to there, and takes a C++ compiler for later ones.
find_python() {
  local candidate other='' incomplete=''
  while read -r candidate; do
    python_is_suitable "${candidate}" || continue
    if ! python_makes_venvs "${candidate}"; then
      incomplete=${candidate}
    elif [[ "$(python_version "${candidate}")" == 3.12.* ]]; then
      echo "${candidate}"
      return
    else
      other=${other:-${candidate}}
    fi
  done < <(candidate_pythons)
  if [[ -n "${other}" ]]; then
    echo "${other}"
    return
  fi
  [[ -z "${incomplete}" ]] || die "${incomplete} cannot make virtual environments" \
    "add its venv package (apt-get install python3-venv) or name another with --python"
  die "found no Python $(python_range) on PATH, in pyenv, uv or conda" \
    "get one (uv python install 3.12, pyenv install 3.12, conda create -n py312 python=3.12, or your system's package) or name one with --python, and run this again"
}

check_python() { # check_python PYTHON: the one that --python names
  command -v "$1" >/dev/null || die "--python $1: no such program" "give the path of a Python"
  python_is_suitable "$1" || die \
    "--python $1: Python $(python_version "$1" || echo "of unknown version") is not in the range $(python_range)" \
    "name another, or leave --python out to let this script look for one"
  python_makes_venvs "$1" || die "--python $1 cannot make virtual environments" \
    "add its venv package (apt-get install python3-venv) or name another"
}

# The stamp is written last: an environment without it, or with another, is not finished.
stamp_text() { # stamp_text TORCH: what the finished environment was made from
  echo "root ${root}"
  echo "setup $(cksum <"${root}/setup.py")"
  echo "torch $1"
  echo "extras ${extras}"
}

stamped() { # stamped torch | extras
  sed -n "s/^$1 //p" "${venv}/.otreg-installed" 2>/dev/null || true
}

stamp_holds() {
  [[ "$(cat "${venv}/.otreg-installed" 2>/dev/null)" == "$(stamp_text "${torch}")" ]]
}

write_stamp() {
  stamp_text "${torch}" >"${venv}/.otreg-installed.tmp"
  mv "${venv}/.otreg-installed.tmp" "${venv}/.otreg-installed"
}

# Whole: it starts, has pip, is of an allowed Python (of the one that --python names) and stands
# where this script made it (the programs in it hold its path).
venv_is_whole() { # venv_is_whole WANTED_PYTHON (may be empty)
  local wanted_python=$1 made=${venv}/.otreg-made
  [[ -x "${venv}/bin/python" ]] && python_is_suitable "${venv}/bin/python" || return 1
  "${venv}/bin/python" -c 'import pip' &>/dev/null || return 1
  [[ ! -e "${made}" || "$(<"${made}")" -ef "${venv}" ]] || return 1
  [[ -z "${wanted_python}" ||
    "$(python_version "${wanted_python}")" == "$(python_version "${venv}/bin/python")" ]]
}

claim_venv() { # make the directory, or make sure that it is one we may write to
  if [[ ! -e "${venv}" ]]; then
    mkdir -p "${venv}" || die "cannot make ${venv}" "choose another place with --venv"
  fi
  [[ -d "${venv}" && -w "${venv}" ]] || die "cannot write to ${venv}" "choose another with --venv"
  if [[ -z "$(ls -A "${venv}")" ]]; then
    echo "${venv}" >"${venv}/.otreg-made"
  fi
  [[ -e "${venv}/.otreg-made" || -e "${venv}/pyvenv.cfg" ]] || die \
    "${venv} is neither empty nor a virtual environment" "choose another with --venv"
}

make_venv() { # make_venv WANTED_PYTHON (may be empty)
  local python=$1
  ! venv_is_whole "${python}" || return 0
  if [[ -e "${venv}/pyvenv.cfg" ]]; then
    [[ -e "${venv}/.otreg-made" ]] || die \
      "${venv} is a virtual environment that does not work here or has another Python" \
      "remove it or choose another with --venv"
    log_line "${venv} is unfinished, was moved or has another Python: making it anew"
  fi
  [[ -n "${python}" ]] || python=$(find_python)
  log_line "making ${venv} with ${python} (Python $(python_version "${python}"))"
  if [[ "$(python_version "${python}")" != 3.12.* ]] && ! command -v c++ >/dev/null; then
    log_line "one package, editdistance, is published compiled up to Python 3.12 only: if it fails" \
      "below, install a C++ compiler (g++) or name a Python 3.12 with --python"
  fi
  echo "${venv}" >"${venv}/.otreg-made"
  # venv's own --clear would remove that file, and with it the right to clear again.
  find "${venv}" -mindepth 1 ! -path "${venv}/.otreg-made" -delete
  "${python}" -m venv "${venv}" || die "cannot make a virtual environment in ${venv}" \
    "see the reason above"
}

# A killed pip leaves distributions without RECORD, which it then takes for installed and cannot
# remove, and directories called ~name that it had moved aside.
remove_half_installed() {
  local directory
  for directory in "${venv}"/lib/python3*/site-packages/*.dist-info; do
    if [[ -d "${directory}" && ! -s "${directory}/RECORD" ]]; then
      log_line "installing $(basename "${directory}" .dist-info) again: it was interrupted"
      rm -rf "${directory}"
    fi
  done
  rm -rf "${venv}"/lib/python3*/site-packages/~*
}

# shellcheck source=lib_torch.sh
. "${root}/tools/lib_torch.sh"

install_packages() {
  local arguments=(--editable "${root}[${extras}]") chosen=${torch:-$(default_torch)}
  if [[ -t 1 ]]; then arguments+=(--progress-bar on); else arguments+=(--quiet --progress-bar off); fi
  add_torch_arguments "${chosen}"
  check_space "${chosen}"
  log_line "installing packages into ${venv}: some minutes the first time"
  local started=${SECONDS}
  # setuptools warns at length about every editable installation. Modules are compiled when they
  # are first imported, which most of them never are.
  PYTHONWARNINGS=ignore "${venv}/bin/python" -m pip install --no-compile "${arguments[@]}" || die \
    "not all packages could be installed (pip's reason is above)" \
    "run this again when that is mended: it goes on where it stopped"
  "${venv}/bin/python" "${root}/tools/check_install.py" --extras "${extras}" || exit 1
  echo "$((SECONDS - started))" >"${venv}/.otreg-seconds"
  write_stamp
}
