# One image for every node of a cluster: no role, no name and no address is in it.
#
#     docker build --tag muster .
#
# sim/compose.yaml makes a cluster of it on one machine.
#
# It runs as root, with no more than it is given: without NET_ADMIN nobody makes a WireGuard interface, and ip(8)
# lets go of that capability under any other user. What needs no mesh needs no root either:
# `docker run --user nobody muster token new …`.

FROM node:24-bookworm-slim AS build
WORKDIR /muster
COPY package.json package-lock.json .npmrc ./
COPY scripts/setup.mjs scripts/
RUN npm ci --no-json
COPY . .
RUN npm run bundle

FROM debian:bookworm-slim
# flock is in the base image; etcd is needed by the servers, wireguard-go where the kernel has no WireGuard.
RUN apt-get update \
 && apt-get install -y --no-install-recommends etcd-server iproute2 wireguard-go wireguard-tools \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && ln -s ../lib/muster.mjs /usr/local/bin/muster
# The Node that package-lock.json pins.
COPY --from=build /muster/node_modules/node/bin/node /usr/local/bin/
COPY --from=build /muster/dist/muster.mjs /usr/local/lib/

# One arena of the C library instead of one for each thread: 10 MiB less.
ENV MALLOC_ARENA_MAX=1
VOLUME /var/lib/muster
HEALTHCHECK --interval=10s --timeout=10s --start-period=2m \
  CMD ["muster", "status", "--wait", "ready", "--timeout", "5s"]
ENTRYPOINT ["muster"]
CMD ["up"]
