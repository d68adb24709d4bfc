# shellcheck shell=bash disable=SC2034,SC2154
# How a recipe starts its commands: with run.pl on this machine, or with slurm.pl on a cluster
# (OTREG_BACKEND=slurm, and conf/slurm.conf says which partition and flags). Options of the
# wrapper may follow its name: cuda_cmd=(slurm.pl --name otreg --time 12:00:00).

case "${OTREG_BACKEND:-local}" in
  local)
    train_cmd=(run.pl)  # many small processes
    cuda_cmd=(run.pl)   # training
    decode_cmd=(run.pl) # decoding
    ;;
  slurm)
    slurm_conf=conf/slurm.conf # the recipe's own, where it has one
    [[ -f "${slurm_conf}" ]] || slurm_conf=${template}/conf/slurm.conf
    slurm=(slurm.pl --config "${slurm_conf}")
    train_cmd=("${slurm[@]}" --mem 8G)
    cuda_cmd=("${slurm[@]}" --mem 32G --num_threads 4)
    decode_cmd=("${slurm[@]}" --mem 16G --num_threads 2)
    ;;
  *)
    die "OTREG_BACKEND=${OTREG_BACKEND}: no such backend" "set it to local or slurm"
    ;;
esac
