#!/usr/bin/env bash
# experiments/03_rivals/run.sh [SETTING ...]: settings say which photographs, such as data=folder data.root=PHOTOGRAPHS
# with the folders train, val and test; without one it takes the six photographs of the demo. Two tables come out:
# rivals/report, holes of every size, and rivals/centre_report, the centre hole, which is Context Encoder's track.
#
#   IMAGES=3200   pictures that each method learns from, over all its phases
#   TESTED=null   photographs of the test sets, the first so many; null: all
#   WIDTH=        of all networks; empty: narrow ones for two CPU cores, each as wide as its minutes allow. GPU: 1
#   TRAIN=        more settings of every training, such as "trainer=cpu logger=csv"
#   VGG=          weights of VGG for perceptual and style losses: hed, imagenet or a file; empty: none, and no such losses
#
# Every step is kept: the same command goes on where it was stopped. Delete rivals/ to start over.
set -euo pipefail
export WANDB_MODE="${WANDB_MODE:-offline}"
here="$(dirname "$0")"
batch=4
batches=$((${IMAGES:-3200} / batch))
photographs=("data=photos")
if (($#)); then photographs=("$@"); fi
photographs+=("data.size=128")

centre='bins={centre: {_target_: inpaintlab.masks.Center, fraction: 0.5}}'
inpaintlab manifest "${photographs[@]}" images="${TESTED:-null}" out=rivals/test.json
inpaintlab manifest "${photographs[@]}" images="${TESTED:-null}" "$centre" out=rivals/centre.json

# share PHASE PERCENT [PHASE PERCENT ...]: lengths of phases, in percent of all batches
shares() {
  while (($#)); do
    echo "model.schedule.phases.$1.batches=$((batches * $2 / 100))"
    shift 2
  done
}

# rival MODEL WIDTH SETTING ...
rival() {
  local model="$1" width="${WIDTH:-$2}"
  inpaintlab train model="$model" name="$model" runs=rivals/runs "${photographs[@]}" data.batch_size=$batch \
    model.width="$width" every.validation=400 every.checkpoint=100 every.panel=400 validation_images=32 "${@:3}" ${TRAIN:-} \
    2>&1 | sed -u "s/^/$model: /"
}

# Holes of every size: blocks and, three times as often, strokes.
mixture=(mask=mixture 'mask.weights=[1,0,3]')

# The rates are raised for a budget of a hundredth of the papers'. ADADELTA is not invariant to the gradient's scale:
# GLCIC's weights, times 1000, let so small a network move at all.
rival glcic 0.25 "${mixture[@]}" \
  'model.weights={completion: {reconstruction: 1000}, joint: {reconstruction: 1000, adversarial: 0.4}}' \
  $(shares completion 80 discriminator 4 joint 16) +model.schedule.phases.joint.learning_rate=0.1

edgeconnect=(model.weights.inpaint.perceptual=null model.weights.inpaint.style=null)
if [[ -n "${VGG:-}" ]]; then edgeconnect=("model.vgg=$VGG"); fi
rival edgeconnect 0.125 "${mixture[@]}" "${edgeconnect[@]}" model.learning_rate=4e-4 \
  $(shares edge 20 inpaint 10 edge_inpaint 60 joint 10) +model.schedule.phases.joint.learning_rate=1e-4

partial_convolution=(model.weights.network.perceptual=null model.weights.network.style=null)
if [[ -n "${VGG:-}" ]]; then partial_convolution=("model.vgg=$VGG"); fi
rival partial_convolution 0.25 "${mixture[@]}" "${partial_convolution[@]}" model.levels=6 model.learning_rate=1e-3 \
  $(shares train 85 finetune 15) model.schedule.phases.finetune.learning_rate=2.5e-4

# The released l1 sees a window alone, beyond which strokes reach, so mmagic's is taken, of the whole hole. With its
# five steps of the critics for one of the generator, this would see a sixth of the pictures: here both step each batch.
rival contextual_attention 0.125 "${mixture[@]}" model.reconstruction=mmagic model.critic_steps=1 \
  model.generator_batch=shared model.learning_rate=4e-4 $(shares train 100)

# Made for the hole in the centre, which it learns from alone. In batches of 4 the batch norm of its bottleneck, of one pixel,
# has four numbers a feature, and it learns nothing; in batches of 16 it begins to.
context_encoder=(model.bottleneck=500)
if [[ "${WIDTH:-}" == 1 ]]; then context_encoder=(); fi
batch=16 batches=$((batches / 4))
rival context_encoder 0.25 mask=center "${context_encoder[@]}" $(shares train 100)

inpaintlab compare study="$here/study.yaml"
inpaintlab compare study="$here/centre.yaml"
