# examples/docker: both images, unchanged, from nothing to a served request.

certificates
rm -rf secrets
mkdir -p secrets
# Every character that a URL or a shell reserves.
password=$'p#a/s%s@:?&=+,;$`\\"\'<> {}[]|^~!*()x'
printf '%s\n' "$password" >secrets/db-password
printf 'n/p#@:%%' >secrets/nats-password
cp tls/ca.pem secrets/db-ca.pem
cp tls/ca.pem secrets/api-ca.pem
chown 65532 secrets/*
chmod 400 secrets/*
network=(--network host --add-host db:127.0.0.1 --add-host nats:127.0.0.1 --add-host api:127.0.0.1)
# `podman secret` does not work with --read-only on runc 1.1: the files are mounted instead.
mounts=(-v "$LAB/secrets:/run/secrets:ro")
hardened=(--read-only --cap-drop all --security-opt no-new-privileges --memory 16m)

podman run -d --name waiting "${network[@]}" "${mounts[@]}" "${hardened[@]}" localhost/example-scratch >/dev/null
wait_for "the wait begins" logs_hold waiting "db: waiting: connection refused"
check "an unready dependency is reported" "db: waiting: connection refused" "$(logs waiting)"
check_under "a waiting container stops at once" 5000 podman stop -t 10 waiting
check "a stopped wait exits 143" 143 "$(podman inspect waiting --format '{{.State.ExitCode}}')"
podman rm waiting >/dev/null

podman run -d --init --name init "${network[@]}" "${mounts[@]}" localhost/example-scratch >/dev/null
wait_for "the wait begins behind an init" logs_hold init "db: waiting"
check_under "it stops at once behind an init" 5000 podman stop -t 10 init
check "and exits 143" 143 "$(podman inspect init --format '{{.State.ExitCode}}')"
podman rm init >/dev/null

check "a missing secret is an error at once" "rc=64" \
    "$(podman run --rm "${network[@]}" localhost/example-scratch 2>&1 || echo "rc=$?")"
printf 'FROM localhost/example-scratch\nENTRYPOINT ["/afterall", "file:/migrations", "--"]\n' >Dockerfile.derived
buildah bud -q --isolation chroot --pull-never -t localhost/derived -f Dockerfile.derived context >/dev/null
check "a derived image that lost its command is an error" "rc=64" \
    "$(podman run --rm "${network[@]}" localhost/derived 2>&1 || echo "rc=$?")"

# The servers come one by one.
podman run -d --name service "${network[@]}" "${mounts[@]}" "${hardened[@]}" localhost/example-scratch >/dev/null
cp tls/db.pem tls/db.key /tmp/
chown postgres /tmp/db.key
chmod 600 /tmp/db.key
postgres -c ssl=on -c ssl_cert_file=/tmp/db.pem -c ssl_key_file=/tmp/db.key
serve nats.log nats-server -a 127.0.0.1 -p 4222 --user app --pass 'n/p#@:%'
mkdir -p www
echo ok >www/ready
(cd www && exec openssl s_server -accept 127.0.0.1:8443 -cert ../tls/api.pem -key ../tls/api.key -WWW -quiet) \
    >/dev/null 2>&1 &
started+=($!)
wait_for "the login is refused" logs_hold service "28P01"
sql postgres "create role app login password '${password//\'/\'\'}'" "create database app owner app"
wait_for "the schema is missing" logs_hold service "schema: waiting"
sql app "set role app" "create table schema_migrations(version varchar primary key)" \
    "insert into schema_migrations values('20260801120000')"
wait_for "the service starts" logs_hold service "listening on"
all=$(logs service)
for line in 'db: ready: PostgreSQL' '1 of 1 migrations applied' 'nats: ready' 'api: ready: 200' \
    'started pid=1 ppid=0 uid=65532'; do
    check "the log says: $line" "$line" "$all"
done
check "the secret is in no line" "none" "$([[ $all == *"$password"* ]] && echo leaked || echo none)"
check "the service serves" ok "$(curl -s http://127.0.0.1:8080/)"
check "the same binary is a health check" "ready" "$(podman exec service /afterall --once http://127.0.0.1:8080/ 2>&1)"
check_under "the service stops by its own handler" 5000 podman stop -t 10 service
check "SIGTERM reached the service" "signal 15" "$(logs service | tail -1)"
check "the exit code is the service's own" 0 "$(podman inspect service --format '{{.State.ExitCode}}')"

# The image with a system below: the dependencies come from a variable.
podman run -d --name plain "${network[@]}" -e DATABASE_URL=postgres://app@db/app -e PGPASSWORD="$password" \
    "${hardened[@]}" localhost/example >/dev/null
wait_for "the image waits for its API" logs_hold plain "api: waiting"
check "the variable is read" "db: ready: PostgreSQL" "$(logs plain)"
check_under "and it stops at once" 5000 podman stop -t 10 plain
rm -f /tmp/db.key /tmp/db.pem

# The image of one program that a release has, as what others copy from.
CARGO_TARGET_DIR=$LAB/release "$HERE/../../dist/image" afterall "$(uname -m)" >/dev/null
podman load -q -i release/dist/afterall-*.oci.tar >/dev/null
version=$(./afterall --version)
printf 'FROM docker.io/library/debian:12-slim\nCOPY --from=localhost/%s /afterall /usr/local/bin/\n' \
    "${version/ /:}" >Dockerfile.copy
buildah bud -q --isolation chroot --pull-never -t localhost/copied -f Dockerfile.copy context >/dev/null
check "an image copies the binary from the release's" "$version" \
    "$(podman run --rm --network none localhost/copied afterall --version)"
