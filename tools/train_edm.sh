#!/usr/bin/env bash
# Makes src/roadstill/weights/edm-cifar10.safetensors from CIFAR-10's binary files: a training from scratch, and a
# second one that starts from its result. About six hours on two cores; if it is interrupted, the same call resumes it.
#
#     tools/train_edm.sh BINARY FOLDER
set -euo pipefail
usage='usage: tools/train_edm.sh BINARY FOLDER'
binary=${1:?$usage} work=${2:?$usage}

roadstill run cifar10-edm --size small --data "$binary" --out "$work/run"
roadstill finetune "$work/run/encode" "$work/second" --base "$work/run/pretrain" --seed 1 \
  --tuning.adapters '[{"class_path": "roadstill.adapters.Full"}]' --tuning.steps 10500 --tuning.batch_size 64 \
  --tuning.learning_rate 1e-3 --tuning.warmup_steps 500 --tuning.lr_decay cosine --tuning.clip 1.0 \
  --tuning.labels.dropout 0.1 --tuning.edm.augment 0.5 --tuning.edm.loss_reduction mean
python - "$work/second" src/roadstill/weights/edm-cifar10.safetensors <<'EOF'
import sys
from pathlib import Path
from roadstill import export_base

export_base(Path(sys.argv[1]), Path(sys.argv[2]))
EOF
