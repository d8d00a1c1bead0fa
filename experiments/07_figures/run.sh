#!/usr/bin/env bash
# experiments/07_figures/run.sh [SETTING ...]: every figure of `inpaintlab figures`, in figures/ of the current folder.
# Settings say which photographs, such as data=folder data.root=PHOTOGRAPHS; without one it takes scikit-image's.
#
#   CHECKPOINT=   a trained EdgeConnect; empty: a narrow one is trained here for BATCHES (300) in each phase
#   OF_SIGMA=     checkpoints of each sigma, with %s in its place, such as runs/ec_s%s; empty: CHECKPOINT at each sigma
#   WITHOUT=      a checkpoint that was trained without edges (model/edges=none); empty: CHECKPOINT without them
#   SIGMAS="1 2 3 5"
#   METRICS=      of the evaluations: default, or perceptual for FID; fd_hed works offline
#   OTHERS="telea navier_stokes mean_colour"   methods beside EdgeConnect in fig3_qualitative; RESULTS= more result folders
#   LEFT= RIGHT=  photographs of fig10_transfer; PHOTO= HOLES= DRAWING= files of fig11_removal; empty: made here
#   MATRIX=       result folders of the heat map, TEST/LABEL; empty: no heat map (experiments/06_transfer draws its own)
#   SIZE=64  IMAGES=null   side of the squares, and how many photographs of the test set
#
# Every step is kept: the same command goes on where it was stopped. Delete figures/ to start over.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" WANDB_MODE="${WANDB_MODE:-offline}"
photographs=(data=photos)
if (($#)); then photographs=("$@"); fi
photographs+=("data.size=${SIZE:-64}")
batches="${BATCHES:-300}"
checkpoint="${CHECKPOINT:-figures/runs/ec}"
mkdir -p figures

if [[ -z "${CHECKPOINT:-}" ]]; then
  inpaintlab train model=edgeconnect name=ec runs=figures/runs "${photographs[@]}" data.batch_size=4 model.width=0.125 \
    model.learning_rate=4e-4 model.weights.inpaint.perceptual=null model.weights.inpaint.style=null mask=mixture \
    model.schedule.phases.{edge,inpaint,edge_inpaint}.batches="$batches" model.schedule.phases.joint.batches=0 \
    every.validation="$batches" every.checkpoint=100 every.panel="$batches" validation_images=16
fi
inpaintlab manifest "${photographs[@]}" images="${IMAGES:-null}" out=figures/test.json

evaluate() { # evaluate LABEL SETTING ...
  inpaintlab evaluate manifest=figures/test.json results=figures/results label="$1" metrics="${METRICS:-default}" "${@:2}"
}
predicted=() true_edges=()
for sigma in ${SIGMAS:-1 2 3 5}; do
  of="$checkpoint"
  # shellcheck disable=SC2059  # the user's template
  if [[ -n "${OF_SIGMA:-}" ]]; then of="$(printf "$OF_SIGMA" "$sigma")"; fi
  evaluate "sigma$sigma" checkpoint="$of" +model.edges.sigma="$sigma" raw=true
  evaluate "oracle$sigma" checkpoint="$of" +model.edges.sigma="$sigma" +model.hole_edges=original
  predicted+=("figures/results/sigma$sigma") true_edges+=("figures/results/oracle$sigma")
done
evaluate no_edges checkpoint="${WITHOUT:-$checkpoint}" +model/edges=none raw=true
predicted+=(figures/results/no_edges)
evaluate edgeconnect checkpoint="$checkpoint" raw=true
others=()
for model in ${OTHERS-telea navier_stokes mean_colour}; do
  evaluate "$model" model="$model"
  others+=("figures/results/$model")
done

inpaintlab figures fig2_overview "$checkpoint" manifest=figures/test.json count=3 out=figures
inpaintlab figures fig3_qualitative figures/results/edgeconnect "${others[@]}" ${RESULTS:-} out=figures
inpaintlab figures fig6_sigma "${predicted[@]}" "${true_edges[@]}" out=figures
inpaintlab figures fig6_sigma "${predicted[@]}" "${true_edges[@]}" axis=density out=figures/density
inpaintlab figures fig7_sigma "${predicted[@]}" out=figures
inpaintlab figures fig9_failures figures/results/edgeconnect out=figures

# Two photographs of one size; and an object, the disc of a mask, with a drawing that continues a line through it.
if [[ -z "${LEFT:-}" || -z "${PHOTO:-}" ]]; then
  python - "${SIZE:-64}" <<'PYTHON'
import sys

import numpy as np
from PIL import Image
from skimage import data

side = int(sys.argv[1])
for name in ("astronaut", "coffee", "chelsea"):
    picture = Image.fromarray(getattr(data, name)())
    short = min(picture.size)
    left, top = ((length - short) // 2 for length in picture.size)
    picture.crop((left, top, left + short, top + short)).resize((side, side)).save(f"figures/{name}.png")
rows, columns = np.ogrid[:side, :side]
disc = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 5) ** 2
Image.fromarray(disc).save("figures/mask.png")
Image.fromarray(disc & (rows == side // 2)).save("figures/drawing.png")
PYTHON
fi
inpaintlab figures fig10_transfer "$checkpoint" left="${LEFT:-figures/astronaut.png}" right="${RIGHT:-figures/chelsea.png}" \
  out=figures
inpaintlab figures fig11_removal "$checkpoint" image="${PHOTO:-figures/coffee.png}" holes="${HOLES:-figures/mask.png}" \
  drawing="${DRAWING:-figures/drawing.png}" out=figures
# shellcheck disable=SC2086  # several folders
if [[ -n "${MATRIX:-}" ]]; then inpaintlab figures heatmap $MATRIX out=figures; fi
