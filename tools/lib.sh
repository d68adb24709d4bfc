# shellcheck shell=bash
# What every script of tools/ says and how it ends. Sourced.

die() { # die WHAT HOW_TO_MEND_IT
  echo "error: $1; $2" >&2
  exit 1
}

log_line() {
  echo "$(date '+%H:%M:%S') $*"
}

print_help() { # print_help SCRIPT: its comment lines below the first
  sed -n '2,/^[^#]/ { s/^# \{0,1\}//p; }' "$1"
}
