#!/usr/bin/env bash
# Install espnet_otreg and all it needs into a virtual environment. Safe to run again at any time:
# it does only what is missing, also after an interruption.
#
#   tools/install.sh [--python PYTHON] [--venv DIRECTORY] [--torch cpu|cuda|SPEC] [--without_tests]
#
# --python PYTHON    the Python to use; default: the first suitable one on PATH, in pyenv, uv, conda
# --venv DIRECTORY   where to install; default: tools/venv (or $OTREG_VENV, as the recipes use)
# --torch WHICH      cpu: without CUDA; cuda: with it; a version (2.11.0), or what pip takes
#                    (torch==2.13.*, the path of a wheel); default: what is installed, else cuda
#                    where there is an NVIDIA driver and cpu elsewhere
# --without_tests    leave out what only the tests need; what is installed already stays
# --help             this text
#
# The CPU builds come from PyTorch's own index, or from $TORCH_CPU_INDEX.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
extras=espnet,report,demo,test
python=
venv=${OTREG_VENV:-${root}/tools/venv}
torch=
# shellcheck source=lib_install.sh
. "${root}/tools/lib_install.sh"

while (($# > 0)); do
  case "$1" in
    --help | -h)
      print_help "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --without_tests)
      extras=${extras%,test}
      shift
      ;;
    --python | --venv | --torch)
      [[ -n "${2:-}" ]] || die "$1: its value is missing" "--help shows the usage"
      declare "${1#--}=$2"
      shift 2
      ;;
    *) die "$1: unknown option" "--help shows the usage" ;;
  esac
done
[[ -z "${torch}" ]] || check_torch_option "${torch}"
[[ -z "${python}" ]] || check_python "${python}"
[[ "${venv}" == /* ]] || venv=${PWD}/${venv}

unset PYTHONPATH PYTHONHOME # another project's modules must not satisfy our requirements
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1
trap 'die "interrupted" "run the same command again: it goes on where it stopped"' INT TERM

claim_venv
torch=${torch:-$(stamped torch)} # a choice made once holds until there is another
[[ "$(stamped extras)" != "${extras},test" ]] || extras+=,test
if command -v flock >/dev/null; then
  exec 9<"${venv}"
  flock -n 9 || {
    log_line "another installation into ${venv} is running: waiting for it"
    flock 9
  }
fi
if venv_is_whole "${python}" && stamp_holds &&
  "${venv}/bin/python" "${root}/tools/check_install.py" --extras "${extras}"; then
  exit 0
fi
rm -f "${venv}/.otreg-installed"
make_venv "${python}"
remove_half_installed
install_packages
log_line "done; to use it in this shell: source ${venv}/bin/activate"
