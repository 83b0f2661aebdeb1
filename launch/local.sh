#!/usr/bin/env bash
# Trains on one host with all its GPUs, and keeps what is printed in WORKDIR/log.txt.
#
#   launch/local.sh WORKDIR --config=FILE [--config.FIELD=VALUE ...]
#   GPUS=0,1 launch/local.sh runs/mosei --config=configs/mosei.py
#
# GPUS picks some of the GPUs; the batch is split over all that are visible. Paths are
# relative to the checkout. The same command again resumes a run that was stopped.
set -euo pipefail
if [ $# -lt 2 ] || [[ $1 == -* ]]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

workdir="$1"
shift
mkdir -p "$workdir"
if [ -n "${GPUS:-}" ]; then
    export CUDA_VISIBLE_DEVICES="$GPUS"
fi
export PYTHONUNBUFFERED=1
# exec: signals reach the training itself, and its exit status is the script's.
exec python -m sugrm_jax.main --workdir="$workdir" "$@" \
    > >(tee -ia "$workdir/log.txt") 2>&1
