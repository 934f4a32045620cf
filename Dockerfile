# roadstill in a container, on CPU by default:
#
#     docker build -t roadstill .
#     docker run --rm -v "$PWD/runs:/data/runs" roadstill
#
# For CUDA name the index of wheels that fits the driver, and give the container the GPUs:
#
#     docker build -t roadstill:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#     docker run --rm --gpus all -v "$PWD/runs:/data/runs" roadstill:cuda
#
# Without a command it runs the demo; any verb may stand behind the name of the image.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# Where pip finds torch: without CUDA by default, since its libraries are several gigabytes.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=offline-agent,map

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /src
COPY constraints.txt ./
RUN pip install -c constraints.txt --index-url "${TORCH_INDEX}" torch

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install -c constraints.txt ".[${EXTRAS}]"

# What is made belongs to an ordinary user, and lies in a folder that can be mounted.
RUN useradd --create-home --uid 1000 driver && install --directory --owner driver /data /data/runs
USER driver
WORKDIR /data
ENTRYPOINT ["roadstill"]
CMD ["demo"]
