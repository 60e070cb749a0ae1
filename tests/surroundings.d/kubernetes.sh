# examples/kubernetes/*.yaml by `podman play kube`, PostgreSQL and NATS inside.
#
# What podman 4.3 cannot do is worked around here, and only here:
# - it has no Job: the Job's template is played as a Pod;
# - a Deployment's init container is started again after its success, and the service then never starts: the Deployment's
#   template is played as a Pod, too;
# - a secret's volume needs `optional: false`, and its content is taken as it was stored.

certificates
podman tag localhost/example-scratch registry.example.com/afterall:0.1
cat >Dockerfile.k8s <<'DOCKERFILE'
FROM docker.io/library/postgres:17
COPY afterall scheduler migrate /
COPY migrations /migrations
USER 65532:65532
ENTRYPOINT []
DOCKERFILE
[[ -e app/migrate ]] || { echo "kubernetes needs the files of the part compose" >&2; exit 1; }
buildah bud -q --isolation chroot -t registry.example.com/scheduler:1.4.2 -f Dockerfile.k8s app >/dev/null
podman network exists lab || podman network create lab >/dev/null
mkdir -p www
echo ok >www/ready

podman run -d --name nats --network lab docker.io/library/nats:2 --jetstream >/dev/null
podman run -d --name api --network lab -v "$LAB/tls:/tls:ro" -v "$LAB/www:/www:ro" -w /www --entrypoint '["openssl"]' \
    docker.io/library/postgres:17 s_server -accept 443 -cert /tls/api.pem -key /tls/api.key -WWW -quiet >/dev/null

# pod FILE KIND: the template of the first KIND of an example, as a Pod that podman can play.
pod() {
    ruby -ryaml -e '
        path, kind = ARGV
        found = YAML.load_stream(File.read(path)).find { |document| document["kind"] == kind }
        spec = found["spec"]["template"]["spec"]
        (spec["volumes"] || []).each { |volume| volume["secret"]["optional"] = false if volume["secret"] }
        name = found["metadata"]["name"] + "-" + kind.downcase
        puts YAML.dump("apiVersion" => "v1", "kind" => "Pod", "metadata" => { "name" => name }, "spec" => spec)
    ' "$EXAMPLES/kubernetes/$1" "$2"
}
secret() { podman secret rm "$1" >/dev/null 2>&1 || true; podman secret create "$1" - >/dev/null; } # NAME, content on stdin
config_map() { # NAME KEY FILE
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: %s }\ndata:\n  %s: |\n' "$1" "$2"
    sed 's/^/    /' "$3"
}
printf '{"DATABASE_URL":"%s"}' "$(printf 'postgres://app:pw@db/app' | base64 -w0)" | secret scheduler
pw=$(printf 'pw' | base64 -w0)
printf 'apiVersion: v1\nkind: Secret\nmetadata: { name: scheduler-db }\ndata:\n  password: %s\n  ca.pem: %s\n' \
    "$pw" "$(base64 -w0 tls/ca.pem)" | secret scheduler-db
printf 'apiVersion: v1\nkind: Secret\nmetadata: { name: scheduler-nats }\ndata:\n  password: %s\n' "$pw" |
    secret scheduler-nats
podman volume rm -f scheduler-db scheduler-nats >/dev/null 2>&1 || true

play() { timeout 90 podman play kube --network lab "$@" >>play.log 2>&1 || true; }
pod init-container.yaml Job >job.yaml
pod init-container.yaml Deployment >init.yaml
pod prefix.yaml Deployment >prefix.yaml
config_map api-ca ca.pem tls/ca.pem >api-ca.yaml

# The database comes after the Job, as it may in a cluster.
play job.yaml &
wait_for "the Job's init container waits" logs_hold migrate-job-wait "db: waiting"
podman run -d --name db --network lab -e POSTGRES_USER=app -e POSTGRES_PASSWORD=pw -e POSTGRES_DB=app \
    -v "$LAB/tls:/tls:ro" docker.io/library/postgres:17 >/dev/null
wait_for "the Job's migrator runs" logs_hold migrate-job-migrate migrated
check "its init container was ready first" "db: ready: PostgreSQL" "$(logs migrate-job-wait)"
podman pod rm -f -t 1 migrate-job >/dev/null

play --configmap api-ca.yaml init.yaml &
wait_for "the service of the init container's Pod starts" logs_hold scheduler-deployment-scheduler "listening on"
waited=$(logs scheduler-deployment-wait)
for line in 'schema: ready' 'nats: ready' 'api: ready: 200'; do
    check "the init container's log says: $line" "$line" "$waited"
done
podman pod rm -f -t 1 scheduler-deployment >/dev/null

podman rm -f -t 1 nats >/dev/null
podman run -d --name nats --network lab docker.io/library/nats:2 --user app --pass pw >/dev/null
play prefix.yaml &
service=scheduler-deployment-scheduler
wait_for "the service starts behind its prefix" logs_hold "$service" "listening on"
check "it is PID 1 and no root" "started pid=1 ppid=0 uid=65532" "$(logs "$service")"
check "its root is read-only" true "$(podman inspect "$service" --format '{{.HostConfig.ReadonlyRootfs}}')"
check_under "it stops by its own handler" 5000 podman stop -t 10 "$service"
check "SIGTERM reached the service" "signal 15" "$(logs "$service" | tail -1)"
