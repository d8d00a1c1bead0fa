#!/usr/bin/env bash
# bash run.sh PHOTOGRAPHS: train the starter weights of GLCIC and EdgeConnect, a core each, on a folder with train/ and val/, and
# export them to starter/. LARGE=1 goes on at 128 pixels. What was killed resumes when the same command is given again.
set -euo pipefail
photographs=$1
export WANDB_MODE="${WANDB_MODE:-offline}" OMP_NUM_THREADS=1
phases=model.schedule.phases
folder=$(dirname "$0")

# name, what it begins with, side of the squares, pictures a batch, and settings
train() {
  inpaintlab train runs=starter/runs name="$1" init="$2" data=folder data.root="$photographs" data.size="$3" data.batch_size="$4" \
    data.workers=0 mask=mixture "mask.weights=[1,0,3]" logger=csv every.checkpoint=250 every.validation=500 "${@:5}"
}

# the run, and what it began with
export_weights() {
  python "$folder/export.py" "starter/runs/$1" "starter/$1.ckpt" "${@:2}"
}

glcic() {
  local settings=(model=glcic model.width=0.25 model/optimizer=adam model.reduction=hole model/schedule=completion_only)
  settings+=($phases.completion.rate=cosine)
  train starter-glcic null 64 16 "${settings[@]}" model.learning_rate=1e-3 $phases.completion.batches=5200 \
    $phases.completion.warm_up=100
  export_weights starter-glcic
  [ -n "${LARGE:-}" ] || return 0
  train starter-glcic-128 starter/starter-glcic.ckpt 128 8 "${settings[@]}" model.learning_rate=3e-4 \
    $phases.completion.batches=5000
  export_weights starter-glcic-128 starter/starter-glcic.ckpt
}

edgeconnect() {
  local settings=(model=edgeconnect model.width=0.125 model.output=offsets $phases.edge_inpaint.rate=cosine)
  settings+=("model.weights.inpaint={l1: 1.0, adversarial: null, perceptual: null, style: null}")
  settings+=($phases.inpaint.batches=0 $phases.joint.batches=0)
  train starter-edgeconnect null 64 8 "${settings[@]}" model.learning_rate=2e-3 $phases.edge.batches=2200 \
    $phases.edge.learning_rate=4e-4 $phases.edge_inpaint.batches=4000 $phases.edge_inpaint.warm_up=100
  export_weights starter-edgeconnect
  [ -n "${LARGE:-}" ] || return 0
  train starter-edgeconnect-128 starter/starter-edgeconnect.ckpt 128 8 "${settings[@]}" model.learning_rate=1e-3 \
    $phases.edge.batches=0 $phases.edge_inpaint.batches=5000
  export_weights starter-edgeconnect-128 starter/starter-edgeconnect.ckpt
}

glcic 2>&1 | sed -u "s/^/glcic: /" & glcic=$!
edgeconnect 2>&1 | sed -u "s/^/edgeconnect: /" & edgeconnect=$!
wait "$glcic"
wait "$edgeconnect"
