# docker build -t inpaintlab .                                           # for the CPU
# docker build -t inpaintlab:cuda --build-arg DEVICE=cuda .              # for NVIDIA's GPUs; run it with --gpus all
# docker run --rm -v "$PWD:/work" inpaintlab complete image=photo.png holes=mask.png out=done.png
# docker run --rm -p 127.0.0.1:8642:8642 inpaintlab serve host=0.0.0.0   # prints the address with its token
#
# What is mounted at /work has to be writable for user 1000, or give --user "$(id -u):$(id -g)".
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /build
RUN pip install --no-cache-dir uv==0.13.9 hatchling==1.33.0
COPY . .
# torch comes below, in the build that the device asks for
ARG EXTRAS="web export patches"
RUN set -eu; \
    for extra in ${EXTRAS}; do set -- "$@" --extra "${extra}"; done; \
    uv export --quiet --frozen --no-hashes --no-annotate --no-header --no-emit-project "$@" \
      --prune torch --output-file locked.txt; \
    hatchling build --target wheel

FROM python:${PYTHON}-slim-bookworm
# cpu or cuda: PyPI has the build with CUDA's libraries, PyTorch's own index the small one
ARG DEVICE=cpu
# the version of uv.lock, as a test holds
ARG TORCH=2.13.0
# on a GPU torch compiles networks with it; Debian has one version in a release, so there is none to pin
# hadolint ignore=DL3008
RUN if [ "${DEVICE}" = cuda ]; then \
      apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi
RUN case "${DEVICE}" in \
      cpu) index=https://download.pytorch.org/whl/cpu ;; \
      cuda) index=https://pypi.org/simple ;; \
      *) echo "DEVICE is '${DEVICE}'; give cpu or cuda." >&2; exit 1 ;; \
    esac; \
    pip install --no-cache-dir --index-url "${index}" "torch==${TORCH}"
RUN --mount=type=bind,from=build,source=/build,target=/build \
    pip install --no-cache-dir --requirement /build/locked.txt \
    && pip install --no-cache-dir --no-deps /build/dist/*.whl
RUN useradd --create-home --uid 1000 lab && install --directory --owner lab --group lab /work
# whoever comes by --user has no folder of their own, and matplotlib, torch and the weights need one for what they keep
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /work
# of `inpaintlab serve`
EXPOSE 8642
ENTRYPOINT ["inpaintlab"]
CMD ["--help"]
