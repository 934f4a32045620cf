#!/usr/bin/env bash
# Makes the weights for driving under src/roadstill/weights from scratch: world, pictures, codec, base generator.
# About two hours and a half on two cores, an hour of it for the codec; if it is interrupted, the same call resumes it.
#
#     tools/pretrain_weights.sh FOLDER
#
# Towns, lights and weathers are those of the group "pretrain"; the demo has others. The classes are brake and not
# brake: labels that any driving log contains, here from drives in other towns.
set -euo pipefail
work=${1:?usage: tools/pretrain_weights.sh FOLDER}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

[ -d "$work/world" ] ||
  roadstill world "$work/world" --group pretrain --seed 100 --drives 240 --pictures false
[ -d "$work/index" ] || roadstill index "$work/world" "$work/index"
[ -d "$work/sets/test" ] || roadstill prepare "$work/index" "$work/sets"
roadstill pretrain codec "$work/sets/train" "$work/codec" \
  --codec.perceptual 0.03 --codec.coarse_share 0.1 --codec.lamps 4 --codec.detail 4 --codec.learning_rate 1e-3 \
  --codec.crop_px 64 --codec.steps 20000 --codec.save_every 2000 --codec.log_every 500
[ -d "$work/latents" ] ||
  roadstill encode "$work/sets/train" "$work/latents" --codec "$work/codec/codec.safetensors"
roadstill pretrain denoiser "$work/latents" "$work/dit" \
  --denoiser.steps 9000 --denoiser.batch_size 64 --denoiser.learning_rate 1e-3 --denoiser.warmup_steps 300 \
  --denoiser.lr_decay cosine --denoiser.clip 1.0 --denoiser.ema.decay 0.999 --denoiser.min_snr 5 \
  --denoiser.mixed_precision bf16
cp "$work/codec/codec.safetensors" "$work/dit/dit.safetensors" src/roadstill/weights/
