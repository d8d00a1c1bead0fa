#!/usr/bin/env bash
# experiments/06_transfer/run.sh [SETTING ...]: settings say which photographs, such as data=folder data.root=PHOTOGRAPHS
# with the folders train, val and test; without one it takes the six photographs of the demo. Out comes the heat map
# in transfer/figures.
#
#   BATCHES=1800  batches of 8 pictures of each training, over all its phases
#   SIZE=64       side of the squares
#   TESTED=null   photographs of the test set, the first so many; null: all
#   WIDTH=0.125   of all networks; narrow for two CPU cores. GPU: 1
#   JOBS=2        trainings at the same time, one thread each
#   TRAIN=        more settings of every training, such as "trainer=gpu"
#
# Every step is kept: the same command goes on where it was stopped. Delete transfer/ to start over.
set -euo pipefail
export WANDB_MODE="${WANDB_MODE:-offline}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
here="$(cd "$(dirname "$0")" && pwd)"
photographs=("data=photos")
if (($#)); then photographs=("$@"); fi
photographs+=("data.size=${SIZE:-64}")
third=$((${BATCHES:-1800} / 3))
# What lets a narrow G2 learn within minutes, see experiments/00_demo. With SHORT= the released losses and rate are taken.
short=(${SHORT-model.output=offsets model.weights.inpaint.adversarial=null model.weights.inpaint.perceptual=null
  model.weights.inpaint.style=null model.learning_rate=2e-3})

# Blocks of 25 %, strokes of 20 to 30 %, so that these two differ by their kind alone, and the mixture as it is trained on.
block='{_target_: inpaintlab.masks.Block, fraction: 0.5}'
declare -A holes=([blocks]="$block"
  [strokes]='{_target_: inpaintlab.masks.WithHoleRatio, mask: "${irregular}", low: 0.2, high: 0.3}'
  [mixture]="{_target_: inpaintlab.masks.Mixture, masks: [$block, \"\${irregular}\"], weights: [1, 1]}")
kinds=(blocks strokes mixture)
for kind in "${kinds[@]}"; do
  inpaintlab manifest "${photographs[@]}" images="${TESTED:-null}" "bins={$kind: ${holes[$kind]}}" "out=transfer/$kind.json"
done

inpaintlab train -m hydra/sweeper=list "hydra.sweeper.search.file=$here/masks.yaml" name=masks runs=transfer/runs \
  "${photographs[@]}" model=edgeconnect "model.width=${WIDTH:-0.125}" \
  "${short[@]}" data.batch_size=8 "model.schedule.phases.edge.batches=$third" model.schedule.phases.edge.learning_rate=4e-4 \
  "model.schedule.phases.inpaint.batches=$third" "model.schedule.phases.edge_inpaint.batches=$third" \
  model.schedule.phases.joint.batches=0 \
  every.validation=300 every.checkpoint=100 every.panel=600 validation_images=32 logger=csv \
  hydra/launcher=joblib "hydra.launcher.n_jobs=${JOBS:-2}" ${TRAIN:-}

for kind in "${kinds[@]}"; do
  inpaintlab evaluate -m "manifest=transfer/$kind.json" "results=transfer/results/$kind" which=last workers=0 \
    checkpoint=transfer/runs/masks/blocks,transfer/runs/masks/strokes,transfer/runs/masks/mixture
done
inpaintlab figures heatmap transfer/results/*/* out=transfer/figures
