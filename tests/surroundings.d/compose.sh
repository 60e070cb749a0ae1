# examples/compose/compose.yaml, unchanged, by docker-compose over podman's socket.

rm -rf compose
mkdir compose
cp "$EXAMPLES/compose/compose.yaml" compose/
override=compose/override.yaml
echo 'services:' >"$override"
for name in db nats migrate scheduler reporter ready; do
    # podman 4.3 applies no default limits to what comes over its socket.
    printf '  %s:\n    ulimits: { nofile: 4096, nproc: 4096 }\n' "$name" >>"$override"
    # `build: .` is not tried here: the part docker does that. Compose finds the images by name.
    case $name in db | nats) ;; *) podman tag localhost/app "docker.io/library/compose_$name" ;; esac
done
rm -f podman.sock
serve podman-socket.log env podman system service -t 0 "unix://$LAB/podman.sock"
wait_for "podman's socket" test -S "$LAB/podman.sock"
export DOCKER_HOST=unix://$LAB/podman.sock
compose() {
    (cd compose && timeout 90 docker-compose -f compose.yaml -f override.yaml "$@" 2>&1 </dev/null) ||
        echo "rc=$?"
}
compose_holds() { [[ $(compose logs --no-color "$1") == *"$2"* ]]; } # SERVICE TEXT

compose up -d --no-build >compose-up.log
ready=$(compose run --rm -T ready)
check "the check for CI exits 0" none "$([[ $ready == *rc=* ]] && echo "$ready" || echo none)"
check "it has waited for the scheduler" "ready" "$ready"
check "the migrator ran once its database was there" migrated "$(compose logs --no-color migrate)"
scheduler=$(compose logs --no-color scheduler)
check "the scheduler waited for the migrations" "1 of 1 migrations applied" "$scheduler"
check "the scheduler became its command" "listening on 8080" "$scheduler"
wait_for "the reporter starts" compose_holds reporter "reporter: started"
check "the reporter was declared by a variable" "scheduler: ready" \
    "$(compose logs --no-color reporter)"
compose stop -t 30 scheduler >/dev/null
check "SIGTERM reached the service" "signal 15" "$(compose logs --no-color scheduler)"
check "the exit code is the service's own" 0 \
    "$(podman inspect compose_scheduler_1 --format '{{.State.ExitCode}}')"
compose down -t 2 >/dev/null

# examples/compose/health.yaml: its declaration asks the same socket for a container's health.
podman run -d --name engine --user 0 --network none --health-interval disable \
    --health-cmd '["/usr/local/bin/afterall","--once","file:/healthy"]' \
    localhost/app sleep 600 >/dev/null 2>&1
declared=$(ruby -ryaml -e '
    puts YAML.load_file(ARGV[0])["services"]["tests"]["entrypoint"].grep(/^engine=/)
' "$EXAMPLES/compose/health.yaml")
socket=$LAB/podman.sock
declared=${declared//%2Fvar%2Frun%2Fdocker.sock/${socket//\//%2F}}
serve health.log "$LAB/afterall" -t 60s "$declared" -- echo started
log_holds() { grep -qF -- "$1" health.log; }
wait_for "the container is not healthy yet" log_holds "engine: waiting: 200 OK, but"
podman exec engine touch /healthy
podman healthcheck run engine >/dev/null
wait_for "a healthy container is noticed" log_holds started
check "its health was what was asked for" "engine: ready: 200 OK" "$(cat health.log)"
unset DOCKER_HOST
