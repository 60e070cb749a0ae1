# examples/bosh: director and scheduler in containers as bpm makes them, by runc.

vcap=$LAB/vcap
rm -rf "$vcap" bundle
job=$vcap/jobs/director
migrations=$vcap/packages/director/gem_home/ruby/3.3.0/gems/bosh-director-1.0/db/migrations
mkdir -p "$job/bin" "$job/config" "$vcap/packages/afterall/bin" "$vcap/sys/log/director" "$migrations"
cp afterall "$vcap/packages/afterall/bin/afterall"
cp service "$job/bin/director"
cp service "$job/bin/scheduler"
cp "$EXAMPLES"/bosh/*.toml "$job/config/"
printf 'p#w\n' >"$job/config/db_password"
echo 'Sequel.migration {}' >"$migrations/20240101000000_one.rb"
chown -R 1000:1000 "$vcap"
mkdir -p bundle/rootfs/{bin,etc,lib,lib64,usr,sbin,proc,dev,tmp,var/vcap/packages,var/vcap/jobs/director,var/vcap/sys/log/director}

# The specification that bpm writes: no capabilities, no new privileges, a system call filter, the host's system read-only.
specification() { # PROCESS CONFIG PORT
    jq -n --arg name "$1" --arg config "$2" --arg port "$3" --arg vcap "$vcap" --slurpfile seccomp /usr/share/containers/seccomp.json '
        def bind($from; $to; $mode): {destination: $to, type: "bind", source: $from, options: ["bind", "nosuid", "nodev", $mode]};
        {
            ociVersion: "1.0.2",
            process: {
                user: {uid: 1000, gid: 1000},
                args: ["/var/vcap/packages/afterall/bin/afterall", "--config=/var/vcap/jobs/director/config/" + $config, "--",
                       "/var/vcap/jobs/director/bin/" + $name, "--listen", ":" + $port],
                env: ["BPM_ID=" + $name, "PATH=/usr/bin:/bin", "TMPDIR=/tmp", "HOME=/var/vcap/data/director"],
                cwd: "/", noNewPrivileges: true,
                capabilities: {bounding: [], effective: [], inheritable: [], permitted: []},
                rlimits: [{type: "RLIMIT_NOFILE", hard: 1024, soft: 1024}]
            },
            root: {path: "rootfs", readonly: true},
            mounts: ([("/bin", "/etc", "/lib", "/lib64", "/usr", "/sbin") | bind(.; .; "ro")] + [
                {destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]},
                {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "mode=755"]},
                {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "noexec", "mode=1777"]},
                bind($vcap + "/packages"; "/var/vcap/packages"; "ro"), bind($vcap + "/jobs/director"; "/var/vcap/jobs/director"; "ro"),
                bind($vcap + "/sys/log/director"; "/var/vcap/sys/log/director"; "rw")
            ]),
            linux: {
                namespaces: [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"}],
                cgroupsPath: "/afterall-\($name)", maskedPaths: ["/proc/kcore", "/proc/keys"], readonlyPaths: ["/proc/sys"],
                seccomp: {
                    defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"],
                    syscalls: [{action: "SCMP_ACT_ALLOW", names: ([$seccomp[0].syscalls[] | select(.action == "SCMP_ACT_ALLOW" and
                        ((.includes // {}) == {}) and ((.args // []) == [])) | .names[]] +
                        ["socket", "arch_prctl", "clone", "clone3", "personality"] | unique)}]
                }
            }
        }' >bundle/config.json
}
runc() { command runc --root "$LAB/runc" "$@"; }
bpm_start() { # PROCESS CONFIG PORT
    specification "$@"
    runc run -d --bundle bundle --pid-file "$1.pid" "$1" >"$1.out" 2>"$1.err" </dev/null
}
is_running() { [[ $(runc state "$1" 2>/dev/null | jq -r .status) == running ]]; }
stop() { # PROCESS: TERM, and until it has ended
    runc kill "$1" TERM
    while is_running "$1"; do sleep 0.01; done
}
err_holds() { grep -qF -- "$2" "$1.err"; }

bpm_start director database.toml 8081
bpm_start scheduler schema.toml 8082
wait_for "the director waits" err_holds director "db: waiting: connection refused"
pid=$(cat director.pid)
check "bpm's pid file names the wait" afterall "$(cat "/proc/$pid/comm")"
postgres
wait_for "the login is refused" err_holds director "28P01"
sql postgres "create role bosh login password 'p#w'" "create database bosh"
wait_for "the right to migrate is missing" err_holds director "query"
sql bosh "grant create on schema public to bosh"
wait_for "the director starts" err_holds director "listening on 8081"
check "under the pid of the pid file" director "$(cat "/proc/$pid/comm")"
check "the scheduler still waits for the migrations" "schema: waiting" "$(cat scheduler.err)"
sql bosh "set role bosh" "create table schema_migrations(filename text primary key)" \
    "insert into schema_migrations values('20240101000000_one.rb')"
wait_for "the scheduler starts" err_holds scheduler "listening on 8082"
check "the gem's directory was found by its pattern" "1 of 1 migrations applied" "$(cat scheduler.err)"
check "no capabilities" "CapBnd:	0000000000000000" "$(cat "/proc/$(cat scheduler.pid)/status")"
check "the secret is in no line" none "$(grep -qF 'p#w' director.err scheduler.err && echo leaked || echo none)"
for process in director scheduler; do
    check_under "$process stops by its own handler" 5000 stop "$process"
    runc delete "$process"
done
end_servers

bpm_start director database.toml 8081
wait_for "the next wait begins" err_holds director "db: waiting"
check_under "a wait stops at once" 5000 stop director
runc delete director
chmod 000 "$job/config/db_password"
bpm_start director database.toml 8081
wait_for "it has ended" bash -c "! [[ \$(runc --root '$LAB/runc' state director | jq -r .status) == running ]]"
check "an unreadable secret is named, with file and line" "database.toml:" "$(cat director.err)"
check "and why" "permission denied" "$(cat director.err)"
runc delete -f director
