# syntax=docker/dockerfile:1
# One image a program, by target: `docker build --target prepx-gateway -t prepx-gateway .`
# From `FROM scratch` on this is what images are made of, whoever builds them: images/build reads it too.

FROM rust:1.95-bookworm AS tools
# Python for the SBOM; the rest of what a build takes is there.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
RUN cargo install cargo-chef --locked --version 0.1.78
WORKDIR /prepx

# What the dependencies are, and nothing of the sources: this changes when they do.
FROM tools AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

# The dependencies are built in a layer of their own, kept until they change.
FROM tools AS build
COPY --from=plan /prepx/recipe.json recipe.json
COPY Makefile Makefile
COPY images/reproducibly images/reproducibly
RUN images/reproducibly make dependencies
COPY . .
RUN images/reproducibly make image-root IMAGE_ROOT=/image

# `docker build --target sbom --output DIRECTORY .` writes the bills of materials.
FROM scratch AS sbom
COPY --from=build /image/sbom/ /

# The libraries that the programs are linked to, and the authorities that TLS trusts; no shell, no package manager.
FROM scratch AS base
COPY --from=build /image/common/ /
USER 65532:65532
LABEL org.opencontainers.image.vendor="PrepX" org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="0.1.0"

# The operators' program, which is `prepx start` too.
FROM base AS prepx
COPY --from=build /image/prepx /prepx
LABEL org.opencontainers.image.title="prepx"
ENTRYPOINT ["/prepx"]

# Calls, and what orchestrators ask: PREPX_LISTEN and PREPX_PROBE_LISTEN of k8s/base/settings.env.
FROM base AS service
EXPOSE 9000 9090

FROM service AS prepx-gateway
COPY --from=build /image/prepx-gateway /prepx-gateway
LABEL org.opencontainers.image.title="prepx-gateway"
ENTRYPOINT ["/prepx-gateway"]

FROM service AS prepx-user
COPY --from=build /image/prepx-user /prepx-user
LABEL org.opencontainers.image.title="prepx-user"
ENTRYPOINT ["/prepx-user"]

FROM service AS prepx-trading
COPY --from=build /image/prepx-trading /prepx-trading
LABEL org.opencontainers.image.title="prepx-trading"
ENTRYPOINT ["/prepx-trading"]

FROM service AS prepx-risk
COPY --from=build /image/prepx-risk /prepx-risk
LABEL org.opencontainers.image.title="prepx-risk"
ENTRYPOINT ["/prepx-risk"]

FROM service AS prepx-portfolio
COPY --from=build /image/prepx-portfolio /prepx-portfolio
LABEL org.opencontainers.image.title="prepx-portfolio"
ENTRYPOINT ["/prepx-portfolio"]

FROM service AS prepx-market-data
COPY --from=build /image/prepx-market-data /prepx-market-data
LABEL org.opencontainers.image.title="prepx-market-data"
ENTRYPOINT ["/prepx-market-data"]

FROM service AS prepx-analytics
COPY --from=build /image/prepx-analytics /prepx-analytics
LABEL org.opencontainers.image.title="prepx-analytics"
ENTRYPOINT ["/prepx-analytics"]

FROM service AS prepx-notification
COPY --from=build /image/prepx-notification /prepx-notification
LABEL org.opencontainers.image.title="prepx-notification"
ENTRYPOINT ["/prepx-notification"]
