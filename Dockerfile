# syntax=docker/dockerfile:1
#
# The production build: no simulator, not root.
# Written by the documentation of its tools; it has not been built or run where this project is
# tested. Report what does not work.
#
#   docker build -t whatsapp-worker .
#   docker run -it -v wa-data:/data -v wa-auth:/auth whatsapp-worker
#
# -it shows the QR code in the terminal. Later runs need no terminal.

ARG RUST_VERSION=1.95
# Needs glibc and nothing else: a distroless image with glibc serves as well.
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM rust:${RUST_VERSION}-slim-bookworm AS build
# SQLite and ring are compiled from C.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package whatsapp-worker \
    && cp target/release/whatsapp-worker /usr/local/bin/whatsapp-worker \
    && mkdir -p /empty/data /empty/auth

FROM ${RUNTIME_IMAGE}
COPY --from=build /usr/local/bin/whatsapp-worker /usr/local/bin/whatsapp-worker
# New volumes take owner and mode from the image's directories.
COPY --from=build --chown=65532:65532 --chmod=700 /empty/data /data
COPY --from=build --chown=65532:65532 --chmod=700 /empty/auth /auth
ENV STORE_URL=sqlite:/data/store.db \
    WHATSAPP_AUTH_DIR=/auth
VOLUME ["/data", "/auth"]
USER 65532:65532
# SIGTERM drains and releases the lease. Give it SHUTDOWN_GRACE_MS and a little more before a kill.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/whatsapp-worker"]
CMD ["run"]
