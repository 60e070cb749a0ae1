# The steps that need the network: packages, the binary, the images. The last step starts the second
# half in namespaces of its own.

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); } # PROGRAM PACKAGE
need podman podman
need buildah buildah
need runc runc
need iptables iptables
need debootstrap debootstrap
need systemd-nspawn systemd-container
need docker-compose docker-compose
need nats-server nats-server
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
need jq jq
need ruby ruby
need python3 python3
need gcc gcc
need openssl openssl
need curl curl
[[ -x /usr/lib/podman/netavark ]] || missing+=(netavark)
[[ -x /usr/lib/podman/aardvark-dns ]] || missing+=(aardvark-dns)
command -v catatonit >/dev/null || [[ -x /usr/libexec/podman/catatonit ]] || missing+=(catatonit)
if ((${#missing[@]})); then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

mkdir -p "$LAB"
# The example images hold a static binary. This one is tried and not shipped, so it is built
# without link-time optimisation, while Debian is unpacked.
built=
if [[ -z ${AFTERALL_STATIC-} ]]; then
    triple=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo build --release --locked --quiet --target "$triple" --target-dir "$LAB/build" &
    built=$!
    AFTERALL_STATIC=$LAB/build/$triple/release/afterall
fi
gcc -O1 -static -o "$LAB/service" "$HERE/service.c"

# Debian, made once. The plain system is the base of the example images. With servers it stands for
# the images of PostgreSQL and NATS, and it boots systemd.
rootfs=$LAB/rootfs
quietly() { # LOG COMMAND...
    local log=$LAB/$1
    shift
    "$@" >"$log" 2>&1 || { tail -5 "$log" >&2; exit 1; }
}
inside() { chroot "$rootfs" /usr/bin/env DEBIAN_FRONTEND=noninteractive "$@"; }
archive() { # FILE
    tar -C "$rootfs" -c --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -f "$1" .
}
if [[ ! -e $rootfs/prepared ]]; then
    rm -rf "$rootfs"
    quietly debootstrap.log debootstrap --variant=minbase bookworm "$rootfs"
    archive "$LAB/slim.tar"
    inside apt-get update -qq
    quietly packages.log inside apt-get install -y -qq --no-install-recommends \
        postgresql nats-server openssl systemd systemd-sysv dbus
    archive "$LAB/servers.tar"
    touch "$rootfs/prepared"
fi

# Storage and settings of our own. The limits may not be raised without CAP_SYS_RESOURCE, and crun
# refuses hybrid cgroups.
cat >"$LAB/storage.conf" <<CONF
[storage]
driver = "overlay"
runroot = "$LAB/runroot"
graphroot = "$LAB/graphroot"
CONF
cat >"$LAB/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
CONF
export CONTAINERS_STORAGE_CONF=$LAB/storage.conf CONTAINERS_CONF=$LAB/containers.conf

# The stand-ins of the images that the examples name.
import() { # TAR NAME
    podman --log-level=error image exists "$2" ||
        podman --log-level=error import -q "$1" "$2" >/dev/null
}
import "$LAB/slim.tar" docker.io/library/debian:12-slim
import "$LAB/servers.tar" localhost/servers

[[ -z $built ]] || wait "$built"
cp "$AFTERALL_STATIC" "$LAB/afterall"
rm -rf "$LAB/context"
mkdir -p "$LAB/context/migrations"
cp "$LAB/afterall" "$LAB/context/afterall"
cp "$LAB/service" "$LAB/context/scheduler"
echo 'create table jobs()' >"$LAB/context/migrations/20260801120000_jobs.sql"
cp "$HERE"/{migrate,reporter,postgres-entry} "$LAB/context/"
build() { # TAG FILE: with the host's network, because an example fetches ca-certificates
    quietly build.log buildah bud --isolation chroot --network host --pull-never -q -t "$1" -f "$2" \
        "$LAB/context"
}
# The examples' own files, as they are.
build localhost/example "$EXAMPLES/docker/Dockerfile"
build localhost/example-scratch "$EXAMPLES/docker/Dockerfile.scratch"
# The images that Compose and Kubernetes start; the migrator of theirs needs psql.
build docker.io/library/postgres:17 "$HERE/Dockerfile.postgres"
build docker.io/library/nats:2 "$HERE/Dockerfile.nats"
build localhost/app "$HERE/Dockerfile.compose"
build registry.example.com/scheduler:1.4.2 "$HERE/Dockerfile.kubernetes"

# A container that is left in a dead network namespace cannot be removed, and podman's name server
# outlives its containers. So all of a run lives in namespaces of its own, and ends with them.
export IN_NAMESPACE=1
exec unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc -- bash -c \
    'ip link set lo up
    mkdir -p /run/netns /run/containers
    mount -t tmpfs tmpfs /run/netns
    mount -t tmpfs tmpfs /run/containers
    exec "$@"' surroundings "$0" "$@"
