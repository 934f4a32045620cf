#!/usr/bin/env bash
# Makes the weights for driving under src/roadstill/weights from scratch: world, pictures, codec, base generator.
# Some four hours on two cores without instructions for bfloat16, by their rates; if it is interrupted, the same call resumes it.
#
#     tools/pretrain_weights.sh FOLDER [without_labels]
#
# Towns, lights and weathers are those of the group "pretrain"; the demo has others. The classes are brake and not
# brake: labels that any driving log contains, here from drives in other towns. With "without_labels" a second base is
# made, FOLDER/plain/dit.safetensors, that never saw them: it knows town, light and weather alone.
set -euo pipefail
work=${1:?usage: tools/pretrain_weights.sh FOLDER [without_labels]}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

[ -d "$work/world" ] ||
  roadstill world "$work/world" --group pretrain --seed 100 --drives 600 --pictures false
[ -d "$work/index" ] || roadstill index "$work/world" "$work/index"
[ -d "$work/sets/test" ] || roadstill prepare "$work/index" "$work/sets"
roadstill pretrain codec "$work/sets/train" "$work/codec" \
  --codec.codec.latent_channels 32 --codec.perceptual 0.03 --codec.coarse_share 0.1 --codec.lamps 4 --codec.detail 4 \
  --codec.learning_rate 1e-3 --codec.crop_px 64 --codec.steps 10000 --codec.save_every 1000 --codec.log_every 500
[ -d "$work/latents" ] ||
  roadstill encode "$work/sets/train" "$work/latents" --codec "$work/codec/codec.safetensors" \
    --attributes light,weather,cause,town

base() { # FOLDER ATTRIBUTES [more options]
  roadstill pretrain denoiser "$work/latents" "$1" --denoiser.attributes.names "$2" "${@:3}" \
    --denoiser.attributes.dropout_all 0.2 --denoiser.objective v_prediction --denoiser.network.learn_sigma false \
    --denoiser.steps 10000 --denoiser.batch_size 32 --denoiser.optimiser muon --denoiser.learning_rate 1e-3 \
    --denoiser.warmup_steps 300 --denoiser.lr_decay cosine --denoiser.clip 1.0 --denoiser.ema.decay 0.999 \
    --denoiser.mixed_precision bf16 --denoiser.save_every 250
}
if [ "${2:-}" = without_labels ]; then
  base "$work/plain" light,weather,town --denoiser.labels.one_class drive
else
  base "$work/base" light,weather,cause,town
  cp "$work/codec/codec.safetensors" "$work/base/dit.safetensors" src/roadstill/weights/
fi
