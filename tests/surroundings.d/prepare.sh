# The steps that need the network: packages, the binary, the images. The last step starts the second half in namespaces
# of its own.

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); } # PROGRAM PACKAGE
need podman podman
need buildah buildah
need runc runc
need iptables iptables
need debootstrap debootstrap
need nats-server nats-server
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
need jq jq
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
# The example images hold a static binary. Built without link-time optimisation: it is tried, not shipped.
if [[ -z ${AFTERALL_STATIC-} ]]; then
    triple=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo build --release --locked --quiet --target "$triple" --target-dir "$LAB/build"
    AFTERALL_STATIC=$LAB/build/$triple/release/afterall
fi
cp "$AFTERALL_STATIC" "$LAB/afterall"
gcc -O1 -static -o "$LAB/service" "$HERE/service.c"

# Debian, made once: the base of the example images.
if [[ ! -e $LAB/rootfs/prepared ]]; then
    rm -rf "$LAB/rootfs"
    debootstrap --variant=minbase bookworm "$LAB/rootfs" >"$LAB/debootstrap.log" 2>&1 ||
        { tail -5 "$LAB/debootstrap.log" >&2; exit 1; }
    tar -C "$LAB/rootfs" -c --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -f "$LAB/slim.tar" .
    touch "$LAB/rootfs/prepared"
fi

# Storage and settings of our own. The limits may not be raised without CAP_SYS_RESOURCE, and crun refuses hybrid cgroups.
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

podman --log-level=error image exists docker.io/library/debian:12-slim ||
    podman --log-level=error import -q "$LAB/slim.tar" docker.io/library/debian:12-slim >/dev/null

# The context of the example images, and the images themselves, from the unchanged files in examples/.
rm -rf "$LAB/context"
mkdir -p "$LAB/context/migrations"
cp "$LAB/afterall" "$LAB/context/afterall"
cp "$LAB/service" "$LAB/context/scheduler"
echo 'create table jobs()' >"$LAB/context/migrations/20260801120000_jobs.sql"
build() { # TAG FILE CONTEXT: with the host's network, since an example fetches ca-certificates
    buildah bud --isolation chroot --network host -q -t "$1" -f "$2" "$3" >"$LAB/build.log" 2>&1 ||
        { cat "$LAB/build.log" >&2; exit 1; }
}
build localhost/example "$EXAMPLES/docker/Dockerfile" "$LAB/context"
build localhost/example-scratch "$EXAMPLES/docker/Dockerfile.scratch" "$LAB/context"

# Containers that are left in a dead network namespace cannot be removed; so all of this run's live and end in one.
export IN_NAMESPACE=1
exec unshare --net --mount --propagation private -- bash -c \
    'ip link set lo up; mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; exec "$@"' surroundings "$0" "$@"
