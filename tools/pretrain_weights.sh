#!/usr/bin/env bash
# Makes the weights for driving under src/roadstill/weights from scratch: world, pictures, codec, base generator.
# Some seven hours on two cores without instructions for bfloat16; if it is interrupted, the same call resumes it.
#
#     tools/pretrain_weights.sh FOLDER [without_labels]
#
# Towns, lights and weathers are those of the group "pretrain"; the demo has others. The classes are brake and not
# brake: labels that any driving log contains, here from drives in other towns. With "without_labels" a second base is
# made, FOLDER/base-plain/base.safetensors, that never saw them: it knows town, light and weather alone.
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

# Whose features the generator is aligned with: of the base without labels an agent that has learnt nothing, which sees
# what ImageNet taught its network.
plain=${2:+-plain}
eyes=$work/agent${plain:+-untrained} latents=$work/latents$plain rate=5e-4 attributes=light,weather,cause,town
[ -z "$plain" ] || rate=0 attributes=light,weather,town
[ -d "$eyes" ] ||
  roadstill train "$work/sets/train" "$eyes" --agent.steps 200 --agent.batch_size 64 --agent.learning_rate $rate \
    --agent.freeze 6 --agent.batch_norm fixed --agent.head_init zero
[ -d "$latents" ] ||
  roadstill encode "$work/sets/train" "$latents" --codec "$work/codec/codec.safetensors" --attributes $attributes \
    --align "$eyes"

base() { # FOLDER STEPS [more options]
  roadstill pretrain denoiser "$latents" "$1" --denoiser.steps "$2" "${@:3}" --denoiser.attributes.names $attributes \
    --denoiser.attributes.dropout_all 0.2 --denoiser.objective v_prediction ${plain:+--denoiser.labels.one_class drive} \
    --denoiser.batch_size 32 --denoiser.optimiser muon --denoiser.learning_rate 1e-3 --denoiser.warmup_steps 300 \
    --denoiser.lr_decay cosine --denoiser.clip 1.0 --denoiser.ema.decay 0.999 --denoiser.mixed_precision bf16 \
    --denoiser.save_every 250
}
base "$work/first$plain" 10000 --denoiser.network.learn_sigma false
base "$work/base$plain" 9000 --base "$work/first$plain/dit.safetensors" --denoiser.alignment.weight 0.5
if [ -z "$plain" ]; then
  cp "$work/codec/codec.safetensors" src/roadstill/weights/
  cp "$work/base/base.safetensors" src/roadstill/weights/dit.safetensors
fi
