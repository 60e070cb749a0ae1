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
compose_holds() { compose logs --no-color "$1" | grep -qF -- "$2"; } # SERVICE TEXT

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
check_under "the scheduler stops by its own handler" 5000 compose stop -t 10 scheduler
compose down -t 2 >/dev/null
unset DOCKER_HOST
