# The agent's image: one binary, no shell, no git and no ssh (both protocols are spoken by the binary
# itself). `docker build -t ghcr.io/towline/towline:0.1.0 .`, with BuildKit.

# 1. The packages without their code, so that the next stage changes with the dependencies and not with every
#    edit: modules are deleted, and what is left of the code is an empty main.
FROM rust:1.95-slim-bookworm AS skeleton
WORKDIR /towline
COPY . .
RUN find . -path '*/src/*' -type f ! -name main.rs ! -name lib.rs -delete \
 && find . -type f ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
 && find . -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" > "$file"; done' sh {} + \
 && find . -mindepth 1 -type d -empty -delete

# 2. The dependencies, then the code. The same Debian as the last stage, so that the glibc is the same.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /towline
COPY --from=skeleton /towline .
RUN cargo build --release --locked --bin towline
COPY . .
# Cargo compares times, and the files of a checkout can be older than the build of the skeleton: without
# the touch the empty main would stay. The last line fails if it did.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --bin towline \
 && target/release/towline --help | grep -q agent

# 3. glibc, CA certificates and a user: nothing that an intruder could run.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="towline" \
      org.opencontainers.image.description="Keeps a Kubernetes cluster equal to what a Git repository declares, by pulling" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /towline/target/release/towline /towline
COPY LICENSE /LICENSE
# By number: Kubernetes cannot check `runAsNonRoot` against a name.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/towline"]
