# shellcheck shell=bash disable=SC2154
# Which build of torch to install. Sourced by lib_install.sh; ${venv} is the environment.

# PyTorch's own index of the builds without CUDA, a tenth of the size of those with it.
torch_cpu_index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

check_torch_option() {
  case "$1" in
    cpu | cuda | [0-9]* | torch* | */*) ;;
    *) die "--torch $1: not understood" "give cpu, cuda, a version (2.11.0) or what pip takes" ;;
  esac
}

# cuda: the build that is in the environment has CUDA; cpu: it has not; nothing: there is none.
installed_torch() {
  local file
  for file in "${venv}"/lib/python3*/site-packages/torch/version.py; do
    [[ -f "${file}" ]] || continue
    if grep -q '^cuda.*= None' "${file}"; then echo cpu; else echo cuda; fi
  done
}

default_torch() { # what is there stays; else what the machine can use
  local installed
  installed=$(installed_torch)
  if [[ -n "${installed}" ]]; then
    echo "${installed}"
  elif [[ -e /proc/driver/nvidia ]] || command -v nvidia-smi >/dev/null; then
    echo cuda
  else
    echo cpu
  fi
}

cpu_index_answers() {
  # pip itself asks, so that its proxies and certificates hold; only that index offers "+cpu".
  "${venv}/bin/python" -m pip index versions torch --retries 0 --timeout 10 \
    --index-url "${torch_cpu_index}" 2>/dev/null | grep -q '+cpu'
}

add_torch_arguments() { # add_torch_arguments TORCH: extends the array "arguments"
  local installed
  installed=$(installed_torch)
  case "$1" in
    cpu)
      [[ "$(uname -s)" == Linux && "${installed}" != cpu ]] || return 0
      if ! cpu_index_answers; then
        log_line "no answer from ${torch_cpu_index}: taking torch from the default index, which" \
          "may serve the larger CUDA build; it runs on CPUs too"
        return 0
      fi
      arguments+=(--extra-index-url "${torch_cpu_index}")
      ;;
    cuda) [[ "${installed}" == cpu ]] || return 0 ;;
    [0-9]*) arguments+=("torch==$1") ;;
    *) arguments+=("$1") ;;
  esac
  [[ "$1" == cpu || "$1" == cuda ]] || return 0
  if [[ -n "${installed}" ]]; then
    log_line "replacing torch's ${installed} build"
    "${venv}/bin/python" -m pip uninstall --quiet --yes torch torchaudio
  fi
}

check_space() { # check_space TORCH: before a first installation
  local needed=8 free
  [[ -z "$(installed_torch)" ]] || return 0
  [[ " ${arguments[*]} " != *" ${torch_cpu_index} "* ]] || needed=4
  free=$(df -Pk "${venv}" | awk 'NR == 2 { print int($4 / 1048576) }')
  ((free >= needed)) || die "${venv}: ${free} GB free, and the packages need up to ${needed} GB" \
    "free some space, or choose another place with --venv"
}
