# shellcheck shell=bash
# Turn the command line into values of the variables that the calling script has set before:
#
#   nj=4; skip_train=false
#   . utils/parse_options.sh
#
# makes "--nj 8" set nj, and "--skip-train", "--skip_train" or "--skip_train true" set skip_train.
# The first argument that is no option, or "--", ends the options; "$@" keeps what follows.
# An unknown option, a missing value and a bad true/false end the script with status 1. "--help"
# calls the function `usage` of the script and ends it with status 0.

_option_error() {
  echo "error: $1; $2" >&2
  exit 1
}

while (($#)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    --*) ;;
    -*) _option_error "$1: options start with two hyphens" "write -$1" ;;
    *) break ;;
  esac
  _name=${1#--}
  shift
  if [[ "${_name}" == *=* ]]; then
    _option_error "--${_name}: the value stands behind a space" "write --${_name%%=*} ${_name#*=}"
  fi
  _variable=${_name//-/_}
  if ! [[ "${_variable}" =~ ^[a-z][a-z0-9_]*$ ]] || [[ ! -v "${_variable}" ]]; then
    _option_error "unknown option --${_name}" "--help lists the options"
  fi
  if [[ "${!_variable}" =~ ^(true|false)$ ]]; then
    if (($# == 0)) || [[ "$1" == --* ]]; then
      printf -v "${_variable}" true # a bare switch
      continue
    elif ! [[ "$1" =~ ^(true|false)$ ]]; then
      _option_error "--${_name} $1: expected true or false" "write --${_name} true"
    fi
  elif (($# == 0)) || [[ "$1" =~ ^--[a-z_-]+$ ]]; then
    # "--sft_args '--max_epoch 3'" is a value: it holds a space.
    _option_error "--${_name} needs a value" "write --${_name} VALUE"
  fi
  printf -v "${_variable}" '%s' "$1"
  shift
done
unset _name _variable
