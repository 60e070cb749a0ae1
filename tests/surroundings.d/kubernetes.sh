# examples/kubernetes by `podman play kube`, PostgreSQL and NATS inside.
#
# What podman 4.3 cannot do is worked around here, and only here:
# - There is no Job: the Job's template is played as a Pod.
# - A Deployment's init container is started again after its success, and the service never starts:
#   the Deployment's template is played as a Pod, too.
# - The volume of a secret needs `optional: false`. A secret's content must be a manifest, whose data
#   stay as they are: they are not in base64.
# - It builds an image where a file has the image's name: it runs in a directory of its own.
# - An init container that has succeeded is removed with its log: an annotation keeps it.
# - There is no API server: a manifest that asks it is tested in tests/it only.

certificates
podman tag localhost/example-scratch registry.example.com/afterall:0.1
podman network exists lab || podman network create lab >/dev/null
mkdir -p www
echo ok >www/ready

podman run -d --name nats --network lab docker.io/library/nats:2 --jetstream >/dev/null
podman run -d --name api --network lab -v "$LAB/tls:/tls:ro" -v "$LAB/www:/www:ro" -w /www \
    --entrypoint '["openssl"]' docker.io/library/postgres:17 \
    s_server -accept 443 -cert /tls/api.pem -key /tls/api.key -WWW -quiet >/dev/null

# pod FILE KIND: the template of the first KIND of an example, as a Pod that podman can play.
pod() {
    ruby -ryaml -e '
        path, kind = ARGV
        documents = YAML.load_stream(File.read(path))
        found = documents.find { |document| document["kind"] == kind }
        spec = found["spec"]["template"]["spec"]
        secrets = (spec["volumes"] || []).map { |volume| volume["secret"] }.compact
        secrets.each { |secret| secret["optional"] = false }
        name = found["metadata"]["name"] + "-" + kind.downcase
        kept = { "io.podman.annotations.init.container.type" => "always" }
        puts YAML.dump("apiVersion" => "v1", "kind" => "Pod", "spec" => spec,
                       "metadata" => { "name" => name, "annotations" => kept })
    ' "$EXAMPLES/kubernetes/$1" "$2"
}
secret() { # NAME, content on stdin
    podman secret rm "$1" >/dev/null 2>&1 || true
    podman secret create "$1" - >/dev/null
}
manifest() { # KIND NAME
    printf 'apiVersion: v1\nkind: %s\nmetadata: { name: %s }\ndata:\n' "$1" "$2"
}
authority() {
    echo '  ca.pem: |'
    sed 's/^/    /' tls/ca.pem
}
url=$(printf 'postgres://app:pw@db/app' | base64 -w0)
printf '{"DATABASE_URL":"%s"}' "$url" | secret scheduler
{ manifest Secret scheduler-db && echo '  password: pw' && authority; } | secret scheduler-db
{ manifest Secret scheduler-nats && echo '  password: pw'; } | secret scheduler-nats
# The volumes of an earlier run hold its secrets.
podman volume rm -f scheduler-db scheduler-nats >/dev/null 2>&1 || true

rm -rf kubernetes
mkdir kubernetes
play() { # OPTION... FILE, in the directory kubernetes
    (cd kubernetes && timeout 90 podman play kube --network lab "$@" >>play.log 2>&1 || true)
}
pod init-container.yaml Job >kubernetes/job.yaml
pod init-container.yaml Deployment >kubernetes/init.yaml
pod prefix.yaml Deployment >kubernetes/prefix.yaml
{ manifest ConfigMap api-ca && authority; } >kubernetes/api-ca.yaml

# The database comes after the Job, as it may in a cluster.
play job.yaml &
wait_for "the Job's init container waits" logs_hold migrate-job-wait "db: waiting"
podman run -d --name db --network lab -v "$LAB/tls:/tls:ro" \
    -e POSTGRES_USER=app -e POSTGRES_PASSWORD=pw -e POSTGRES_DB=app \
    docker.io/library/postgres:17 >/dev/null
wait_for "the Job's migrator runs" logs_hold migrate-job-migrate migrated
check "its init container was ready first" "db: ready: PostgreSQL" "$(logs migrate-job-wait)"
podman pod rm -f -t 1 migrate-job >/dev/null 2>&1

play --configmap api-ca.yaml init.yaml &
service=scheduler-deployment-scheduler
wait_for "the service of the init container's Pod starts" logs_hold "$service" "listening on"
waited=$(logs scheduler-deployment-wait)
for line in 'schema: ready' 'nats: ready' 'api: ready: 200'; do
    check "the init container's log says: $line" "$line" "$waited"
done
podman pod rm -f -t 1 scheduler-deployment >/dev/null 2>&1

podman rm -f -t 1 nats >/dev/null
podman run -d --name nats --network lab docker.io/library/nats:2 --user app --pass pw >/dev/null
play prefix.yaml &
wait_for "the service starts behind its prefix" logs_hold "$service" "listening on"
check "it is PID 1 and no root" "started pid=1 ppid=0 uid=65532" "$(logs "$service")"
check "its root is read-only" true \
    "$(podman inspect "$service" --format '{{.HostConfig.ReadonlyRootfs}}')"
check_under "it stops by its own handler" 5000 podman stop -t 10 "$service"
check "SIGTERM reached the service" "signal 15" "$(logs "$service" | tail -1)"
podman pod rm -f -t 1 scheduler-deployment >/dev/null 2>&1

# The service is there first, and its migrations are not applied. Then the Job comes.
podman exec db psql -h /var/run/postgresql -U app -d app -qc 'drop table schema_migrations'
pod migrations.yaml Deployment >kubernetes/service.yaml
pod migrations.yaml Job >kubernetes/migration.yaml
play service.yaml &
wait_for "the service waits for its migrations" logs_hold "$service" "schema: waiting: no migration"
play migration.yaml &
wait_for "the service starts once they are applied" logs_hold "$service" "listening on"
check "the Job waited for its database" "db: ready" "$(logs migrate-1.4.2-job-migrate)"
check "the service's migrations are applied" "1 of 1 migrations applied" "$(logs "$service")"
