#!/usr/bin/env bash
# experiments/05_edges/run.sh [SETTING ...]: settings say which photographs, such as data=folder data.root=PHOTOGRAPHS
# with the folders train, val and test; without one it takes the six photographs of the demo. HED's weights have to be
# here: inpaintlab weights fetch hed. Out come edges/report, edges/edges.md, and the figures in edges/figures.
#
#   BATCHES=1800  batches of 8 pictures of each training, over all its phases
#   SIZE=64       side of the squares
#   TESTED=null   photographs of the test set, the first so many; null: all
#   WIDTH=0.125   of all networks; narrow for two CPU cores. GPU: 1
#   JOBS=2        trainings at the same time, one thread each
#   TRAIN=        more settings of every training, such as "trainer=gpu"
#
# Every step is kept: the same command goes on where it was stopped. Delete edges/ to start over.
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

inpaintlab manifest "${photographs[@]}" images="${TESTED:-null}" out=edges/test.json

# G1 and G2 learn apart, each from the edges of its source, and then G2 from those that G1 draws.
inpaintlab train -m hydra/sweeper=list "hydra.sweeper.search.file=$here/sources.yaml" name=sources runs=edges/runs \
  "${photographs[@]}" mask=mixture 'mask.weights=[1,0,3]' model=edgeconnect "model.width=${WIDTH:-0.125}" \
  "${short[@]}" data.batch_size=8 "model.schedule.phases.edge.batches=$third" model.schedule.phases.edge.learning_rate=4e-4 \
  "model.schedule.phases.inpaint.batches=$third" "model.schedule.phases.edge_inpaint.batches=$third" \
  model.schedule.phases.joint.batches=0 \
  every.validation=300 every.checkpoint=100 every.panel=600 validation_images=32 logger=csv \
  hydra/launcher=joblib "hydra.launcher.n_jobs=${JOBS:-2}" ${TRAIN:-}

# Each once with the edges that G1 draws in the hole, once with the true ones (an oracle), once with none there.
inpaintlab compare study="$here/study.yaml"
python "$here/correlation.py" edges/results | tee edges/edges.md

edges=edges/results
inpaintlab figures fig6_sigma $edges/canny_{1,2,3}{,_true} $edges/none out=edges/figures
inpaintlab figures fig6_sigma $edges/canny_{1,2,3}{,_true} $edges/none axis=density out=edges/figures/density
inpaintlab figures fig7_sigma $edges/canny_{1,2,3} $edges/none out=edges/figures
inpaintlab figures fig9_failures $edges/canny_2 out=edges/figures
inpaintlab figures fig3_qualitative $edges/{canny_2,hed,hed_and_canny,none,canny_2_true} out=edges/figures
