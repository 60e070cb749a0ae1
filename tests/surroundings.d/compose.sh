# examples/compose/compose.yaml, unchanged, by docker-compose over podman's socket.

rm -rf compose
mkdir -p compose app
cp "$EXAMPLES/compose/compose.yaml" compose/
cp afterall app/
cp -r context/migrations app/
cp service app/scheduler
# The migrator writes the table that dbmate writes; the reporter is one more service.
cat >app/migrate <<'SCRIPT'
#!/bin/bash
set -euo pipefail
psql "$DATABASE_URL" -q -c 'create table if not exists schema_migrations(version varchar primary key)' \
    -c "insert into schema_migrations values('20260801120000') on conflict do nothing"
echo migrated
SCRIPT
printf '#!/bin/sh\necho reporter: started\nexec sleep 600\n' >app/reporter
chmod 755 app/migrate app/reporter
# The image of examples/docker/Dockerfile, on a base that has psql for the migrator.
cat >Dockerfile.app <<'DOCKERFILE'
FROM docker.io/library/postgres:17
COPY afterall /usr/local/bin/
COPY migrations /app/migrations
COPY scheduler migrate reporter /app/
USER 65532:65532
ENTRYPOINT []
DOCKERFILE
buildah bud -q --isolation chroot -t localhost/app -f Dockerfile.app app >/dev/null
override=compose/override.yaml
echo 'services:' >"$override"
for name in db nats migrate scheduler reporter ready; do
    # podman 4.3 applies no default limits to what comes over its socket.
    printf '  %s:\n    ulimits: { nofile: 4096, nproc: 4096 }\n' "$name" >>"$override"
    case $name in db | nats) ;; *) podman tag localhost/app "docker.io/library/compose_$name" ;; esac
done
serve podman-socket.log podman system service -t 0 "unix://$LAB/podman.sock"
wait_for "podman's socket" test -S "$LAB/podman.sock"
export DOCKER_HOST=unix://$LAB/podman.sock COMPOSE_FILE=compose.yaml:override.yaml
compose() { (cd compose && docker-compose "$@" 2>&1) || echo "rc=$?"; }

compose up -d --no-build >compose-up.log
ready=$(compose run --rm -T ready)
check "the check for CI exits 0" none "$([[ $ready == *rc=* ]] && echo "$ready" || echo none)"
check "it has waited for the scheduler" "ready" "$ready"
check "the migrator ran once its database was there" migrated "$(compose logs --no-color migrate)"
scheduler=$(compose logs --no-color scheduler)
check "the scheduler waited for the migrations" "1 of 1 migrations applied" "$scheduler"
check "the scheduler became its command" "listening on 8080" "$scheduler"
wait_for "the reporter starts" bash -c 'cd compose && docker-compose logs --no-color reporter 2>/dev/null | grep -q "reporter: started"'
check "the reporter was declared by a variable" "scheduler: ready" "$(compose logs --no-color reporter)"
check_under "the scheduler stops by its own handler" 5000 bash -c 'cd compose && docker-compose stop -t 10 scheduler'
compose down -t 2 >/dev/null
unset DOCKER_HOST COMPOSE_FILE
