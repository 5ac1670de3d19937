# The image of the Space, and of any machine with Docker. Everything in it comes from the committed, hashed locks.
FROM python:3.11-slim-bookworm

# What is installed by `pip` and `uv` is compiled here: at run time nobody can write beside it.
ENV PATH=/opt/studio/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1

# tini is process 1: it reaps the supervisors and workers that outlive the studio. Debian withdraws old versions from its
# mirrors, so a pinned one would stop building.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home studio

WORKDIR /app

COPY --chown=root:root requirements.lock ./
RUN python -m venv /opt/studio \
    && pip install --require-hashes --only-binary :all: --requirement requirements.lock

# The embedded Argilla is ready at the first start. Engines of training and evaluation (2 to 11 GB with torch) are built
# where they are first needed, or here: --build-arg ENGINES="argilla_server autotrain lighteval", on a Space a variable
# of that name; UV_TORCH_BACKEND says for which hardware (cpu, cu126, …), since a builder has none.
ARG ENGINES=argilla_server
ARG UV_TORCH_BACKEND=auto
ENV UV_TORCH_BACKEND=$UV_TORCH_BACKEND \
    ALIGN_STUDIO_ENGINES=/opt/engines
COPY --chown=root:root pipeline/__init__.py pipeline/
COPY --chown=root:root pipeline/base pipeline/base
COPY --chown=root:root pipeline/engines pipeline/engines
COPY --chown=root:root ui/locale ui/locale
# hadolint ignore=SC2086
RUN python -m pipeline.base.install $ENGINES \
    && rm --force /opt/engines/.build.lock \
    && chown studio:studio /opt/engines

# Root's, so that the studio cannot change its own code.
COPY --chown=root:root . .
RUN chmod --recursive u=rwX,go=rX . \
    && python -m compileall -q app.py pipeline ui

USER 1000
ENV HOME=/home/studio \
    SYSTEM=spaces \
    GRADIO_ANALYTICS_ENABLED=0 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ALIGN_STUDIO_HOME=/home/studio/align-studio \
    ALIGN_STUDIO_HOST=0.0.0.0 \
    ALIGN_STUDIO_PORT=7860 \
    ALIGN_STUDIO_SNAPSHOTS=/data
EXPOSE 7860

ENTRYPOINT ["tini", "--"]
CMD ["python", "app.py"]
