# syntax=docker/dockerfile:1
#
# The production build: no simulator, no shell, not root, nothing written but in /data, /auth and /tmp.
#
#   docker build -t whatsapp-worker .
#   docker run -it --read-only --tmpfs /tmp -v wa-data:/data -v wa-auth:/auth whatsapp-worker
#
# -it shows the QR code in the terminal. Later runs need no terminal. `deploy/compose` has several
# workers, `deploy/rehearse-dockerfile` runs the commands below without a container engine.

ARG RUST_VERSION=1.95
# Needs glibc and libgcc and nothing else.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM rust:${RUST_VERSION}-slim-bookworm AS build
# SQLite and ring are compiled from C.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches keep dependencies, fetched and built, from one build to the next.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package whatsapp-worker \
    && cp target/release/whatsapp-worker /usr/local/bin/whatsapp-worker
RUN mkdir -p /empty/data /empty/auth

FROM ${RUNTIME_IMAGE}
COPY --from=build /usr/local/bin/whatsapp-worker /usr/local/bin/whatsapp-worker
# New volumes take owner and mode from the image's directories.
COPY --from=build --chown=65532:65532 --chmod=700 /empty/data /data
COPY --from=build --chown=65532:65532 --chmod=700 /empty/auth /auth
# From here the default STORE_URL is /data/store.db. Were it set here, STORE_URL_FILE would not count.
WORKDIR /
ENV WHATSAPP_AUTH_DIR=/auth
VOLUME ["/data", "/auth"]
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=5m --start-interval=2s --retries=6 \
    CMD ["/usr/local/bin/whatsapp-worker", "healthcheck"]
# SIGTERM drains and releases the lease. Give it SHUTDOWN_GRACE_MS and a little more before a kill.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/whatsapp-worker"]
CMD ["run"]
