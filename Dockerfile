# The image: one static binary and what it needs, nothing else. No shell, not root, and the root file system may be read-only.
#
#   ./task image                                                       for this machine, with docker, podman or buildah
#   docker buildx build --platform linux/amd64,linux/arm64 -t NAME .   for both
#
# /data is to be a volume: SQLite's file, request records on their way to the database, the local copy of the configuration.
# /tmp may be one: only the command line writes there.

# The console; nothing where there is none. It is the same for every platform.
FROM --platform=$BUILDPLATFORM docker.io/library/node:24 AS console
WORKDIR /source
COPY internal internal
RUN --mount=type=cache,target=/root/.npm \
    mkdir -p internal/webui/dist && \
    if [ -f internal/webui/app/package.json ]; then cd internal/webui/app && npm ci && npm run build; fi

# Go compiles for the other platform, which is much faster than to run a compiler of the other platform.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26 AS build
WORKDIR /source
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd cmd
COPY internal internal
COPY pkg pkg
COPY --from=console /source/internal/webui/dist internal/webui/dist
ARG TARGETOS TARGETARCH RELEASE
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.release=$RELEASE" \
        -o /image/usr/local/bin/gpt-load ./cmd/gpt-load
# The roots by which providers are believed. Time zones are in the binary.
RUN mkdir -p /image/etc/ssl/certs /image/tmp /data && chmod 1777 /image/tmp && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    echo 'gpt-load:x:65532:65532::/data:/nologin' >/image/etc/passwd && echo 'gpt-load:x:65532:' >/image/etc/group

FROM scratch
LABEL org.opencontainers.image.title=GPT-Load \
      org.opencontainers.image.description="A transparent proxy for AI APIs with pools of provider keys" \
      org.opencontainers.image.licenses=MIT
COPY --from=build /image/ /
# Volumes take their first owner from here.
COPY --from=build --chown=65532:65532 /data/ /data/
ENV PATH=/usr/local/bin DATA_DIR=/data
USER 65532:65532
WORKDIR /data
EXPOSE 3001
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["gpt-load", "health"]
ENTRYPOINT ["gpt-load"]
