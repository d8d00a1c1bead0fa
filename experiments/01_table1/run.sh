#!/usr/bin/env bash
# experiments/01_table1/run.sh PHOTOGRAPHS: a folder with train, val and test. Ends in table1/report/report.html.
# Every step is kept: the same command goes on where it was stopped. Delete table1/ to start over.
set -euo pipefail
export WANDB_MODE="${WANDB_MODE:-offline}"
here="$(dirname "$0")"

inpaintlab manifest data=folder data.root="$1" data.size=128 out=table1/test.json

# Narrow networks and short phases, for two CPU cores. Without VGG-19's weights there are no perceptual and style losses.
common="data=folder data.root=$1 data.size=128 mask=mixture runs=table1/runs every.validation=1000 validation_images=32"
OMP_NUM_THREADS=1 inpaintlab train model=glcic name=glcic $common model.width=0.25 data.batch_size=8 \
  'model.weights={completion: {reconstruction: 1000}, joint: {reconstruction: 1000, adversarial: 0.4}}' \
  model.schedule.phases.completion.batches=2000 model.schedule.phases.discriminator.batches=60 \
  model.schedule.phases.joint.batches=200 +model.schedule.phases.joint.learning_rate=0.1 2>&1 | sed -u 's/^/glcic: /' &
OMP_NUM_THREADS=1 inpaintlab train model=edgeconnect name=edgeconnect $common model.width=0.125 data.batch_size=4 \
  model.weights.inpaint.perceptual=null model.weights.inpaint.style=null model.learning_rate=4e-4 \
  model.schedule.phases.edge.batches=1500 model.schedule.phases.inpaint.batches=4000 \
  model.schedule.phases.edge_inpaint.batches=7000 model.schedule.phases.joint.batches=100 \
  +model.schedule.phases.joint.learning_rate=1e-4 2>&1 | sed -u 's/^/edgeconnect: /'
wait

inpaintlab compare study="$here/study.yaml"
