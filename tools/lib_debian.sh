# shellcheck shell=bash disable=SC2154
# Programs from Debian packages: found, installed as root, or unpacked without. Sourced by test.sh
# and the checks; ${root} is the repository.
# shellcheck source=lib.sh
. "${root}/tools/lib.sh"

# debian_program PACKAGE PATH: prints where the program is that Debian has at /PATH.
debian_program() {
  local package=$1 path=$2 unpacked=${root}/tools/debian/$1
  if command -v "$(basename "${path}")"; then return; fi
  if [[ ! -x "/${path}" && ! -x "${unpacked}/${path}" ]]; then
    command -v apt-get >/dev/null || die "$(basename "${path}") is missing" \
      "install it (Debian and Ubuntu have it in the package ${package}) and put it on the PATH"
    log_line "installing the package ${package}" >&2
    if ((EUID == 0)); then
      install_package "${package}" >&2
    else
      unpack_package "${package}" "${unpacked}" >&2
    fi
  fi
  if [[ -x "/${path}" ]]; then echo "/${path}"; else echo "${unpacked}/${path}"; fi
}

install_package() { # install_package PACKAGE
  local command=(apt-get install --quiet --yes --no-install-recommends "$1")
  export DEBIAN_FRONTEND=noninteractive
  # Package lists may be absent (container images) or too old to fetch from.
  "${command[@]}" </dev/null || { apt-get update --quiet && "${command[@]}" </dev/null; } ||
    die "the package $1 could not be installed" "see apt's reason above"
}

unpack_package() { # unpack_package PACKAGE DIRECTORY: needs no root; whole or absent
  local scratch=$2.tmp lists=$2.tmp/lists
  rm -rf "${scratch}"
  mkdir -p "${scratch}/files" "${lists}/partial"
  (
    cd "${scratch}"
    apt-get download "$1" || {
      options=(-o "Dir::State::lists=${lists}" -o "Dir::Cache=${scratch}")
      apt-get "${options[@]}" --quiet update && apt-get "${options[@]}" download "$1"
    }
  ) || die "the package $1 could not be fetched" "see apt's reason above, or install it as root"
  dpkg-deb -x "${scratch}/$1"_*.deb "${scratch}/files"
  mv "${scratch}/files" "$2"
  rm -rf "${scratch}"
}
