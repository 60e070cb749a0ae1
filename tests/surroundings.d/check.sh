# Shared by the parts: checks, conditions, certificates, servers on this namespace's loopback.

export CONTAINERS_STORAGE_CONF=$LAB/storage.conf CONTAINERS_CONF=$LAB/containers.conf
held=0 failed=0 started=()

podman() { command podman --log-level=error "$@"; }

# check NAME WANTED GOT: GOT holds WANTED.
check() {
    if [[ $3 == *"$2"* ]]; then
        held=$((held + 1))
        echo "ok: $1"
    else
        failed=$((failed + 1))
        echo "FAILED: $1: wanted '$2' in: $3"
    fi
}

# check_under NAME LIMIT COMMAND...: COMMAND ends within LIMIT milliseconds. The limit for a stop is half of the ten
# seconds after which a container is killed: a container's own end takes a second on a busy machine.
check_under() {
    local name=$1 limit=$2 before=$EPOCHREALTIME after took
    shift 2
    "$@" >/dev/null 2>&1 || true
    after=$EPOCHREALTIME
    took=$(((${after/./} - ${before/./}) / 1000))
    if ((took < limit)); then check "$name ($took ms)" yes yes; else check "$name" "under $limit ms" "$took ms"; fi
}

# wait_for NAME COMMAND...: until COMMAND succeeds, at most 60 s.
wait_for() {
    local name=$1 end=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { check "$name" "in time" "never"; return 0; }
        sleep 0.1
    done
}

logs() { podman logs "$1" 2>&1 || true; }
logs_hold() { logs "$1" | grep -qF -- "$2"; }

# A server of this part, ended with it.
serve() { # LOG COMMAND...
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    started+=($!)
}

# Removes everything that a part has started. Knows it by process ids and by the containers of our own storage.
cleanup() {
    podman pod rm -af -t 0 >/dev/null 2>&1 || true
    podman rm -af -t 0 >/dev/null 2>&1 || true
    end_servers
}

# Ends the servers that `serve` started. PostgreSQL waits for its clients on TERM, and not on INT.
end_servers() {
    ((${#started[@]})) || return 0
    kill -INT "${started[@]}" 2>/dev/null || true
    kill -TERM "${started[@]}" 2>/dev/null || true
    wait "${started[@]}" 2>/dev/null || true
    started=()
}
trap cleanup EXIT
# A run that was killed leaves its containers behind.
cleanup

run_part() {
    # shellcheck disable=SC1090
    . "$HERE/$1.sh"
    cleanup
}

# An authority and certificates for `db` and `api`, in $LAB/tls.
certificates() {
    mkdir -p tls
    [[ -e tls/api.pem ]] && return
    local name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls/ca.key -out tls/ca.pem \
        -days 9 -subj /CN=ca -addext basicConstraints=critical,CA:TRUE 2>/dev/null
    for name in db api; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "tls/$name.key" -out "tls/$name.csr" \
            -subj "/CN=$name" 2>/dev/null
        openssl x509 -req -in "tls/$name.csr" -CA tls/ca.pem -CAkey tls/ca.key -CAcreateserial -days 9 \
            -out "tls/$name.pem" -extfile <(echo "subjectAltName=DNS:$name") 2>/dev/null
    done
}

# A prefix and not a function, so that the background process is the server itself.
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)

# A PostgreSQL on 127.0.0.1:5432, with the socket of its superuser in $LAB/data. Options follow.
postgres() {
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    rm -rf /tmp/surroundings.data
    install -d -o postgres /tmp/surroundings.data
    "${as_postgres[@]}" "$bin/initdb" -D /tmp/surroundings.data -U super --auth-host=scram-sha-256 --auth-local=trust -N >/dev/null
    serve postgres.log "${as_postgres[@]}" "$bin/postgres" -D /tmp/surroundings.data -p 5432 -k /tmp/surroundings.data \
        -c listen_addresses=127.0.0.1 -c fsync=off "$@"
    wait_for "PostgreSQL starts" sql postgres 'select 1'
}
sql() { # DATABASE STATEMENT...
    local database=$1 statements=()
    shift
    for statement in "$@"; do statements+=(-c "$statement"); done
    psql -h /tmp/surroundings.data -U super -d "$database" -qAt "${statements[@]}"
}
