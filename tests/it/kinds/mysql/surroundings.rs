//! States of MariaDB that need a cluster, or a network of its own.

use super::ready;
use crate::support::look::not_ready;
use crate::support::process::program;
use crate::support::{Address, Afterall, Authority, LONG, MariaDb, wait_until};
use std::path::Path;
use std::process::{Command, Stdio};

/// Galera's library, in Debian's package galera-4.
const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";

#[test]
fn a_node_that_loses_its_cluster_is_busy() {
    assert!(Path::new(GALERA).exists(), "Galera is not installed: apt-get install -y galera-4");
    let address = Address::claim();
    let (listen, receive, dead) = (address.free(), address.free(), address.free());
    let server = MariaDb::started(&[
        "--binlog-format=ROW",
        "--innodb-autoinc-lock-mode=2",
        "--wsrep-on=ON",
        &format!("--wsrep-provider={GALERA}"),
        "--wsrep-cluster-address=gcomm://",
        &format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://{listen};\
             ist.recv_addr={receive};gcache.size=1M"
        ),
    ]);
    server.sql("create user app identified by 's3cr3t'; create database app");
    server.sql("create table app.t (n int primary key); grant all on app.* to app");
    let url = format!("mysql://app:s3cr3t@{}/app", server.address());
    ready(&url);
    // The node leaves its cluster for one that is not there; the statement waits for it.
    let mut joining = Command::new(program("mariadb", "mariadb-client"));
    joining.args(["--no-defaults", "--user=root", "-e"]);
    joining.arg(format!("set global wsrep_cluster_address = 'gcomm://{dead}'"));
    joining.arg(format!("--socket={}", server.socket()));
    let mut joining = joining.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A node that leaves cuts its connections, this one too.
    wait_until("the node is not ready", LONG, || {
        let ready = server.try_sql("", "show status like 'wsrep_ready'");
        ready.is_ok_and(|ready| ready.contains("OFF"))
    });
    not_ready(&url, "busy", "the node is not ready (wsrep_ready is OFF)");
    not_ready(&format!("{url}#query=select count(*) = 0 from t"), "busy", "wsrep_ready is OFF");
    // The login of the real client succeeds, and its question fails.
    let theirs =
        server.client(&["-u", "app", "-ps3cr3t", "-D", "app", "--init-command=select * from t"]);
    assert!(theirs.as_ref().is_err_and(|error| error.contains("1047")), "{theirs:?}");
    joining.kill().unwrap();
    joining.wait().unwrap();
}

/// Runs in a network and a file system of its own. The host must have a name, and loopback's
/// addresses are exempt from the count. The words are printed for the test.
const BLOCK: &str = r##"
dir=$1 afterall=$2
ip link set lo up
ip address add 10.77.0.1/32 dev lo
mount --bind "$dir/hosts" /etc/hosts
mount --bind "$dir/nsswitch.conf" /etc/nsswitch.conf
root=(mariadb --no-defaults --user=root --socket="$dir/sock" -N -B)
mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/sock" --pid-file="$dir/pid" \
    --tmpdir="$dir" \
    --bind-address=10.77.0.1 --port=3306 --innodb-buffer-pool-size=8M --max-connect-errors=3 \
    --ssl-cert="$CERT" --ssl-key="$KEY" --plugin-load-add=auth_pam \
    $USER_OPTION >"$dir/log" 2>&1 &
trap 'kill $!; wait' EXIT
until "${root[@]}" -e 'select 1' >/dev/null 2>&1; do sleep 0.05; done
"${root[@]}" -e "create user app identified by 's3cr3t'; create user pam identified via pam"
client() {
    mariadb --no-defaults -h 10.77.0.1 -u app -p"$1" -e 'select 1' 2>&1 |
        grep -o '1129\|ERROR [0-9]*' | tail -n 1
}
ask() { "$afterall" --once "db=mysql://${2-app}:$1@10.77.0.1${3-}" || true; }
# Our own attempts never count, whatever the reason for which they are refused.
attempts() {
    local said
    for attempt in 1 2 3 4 5 6; do said=$(ask "${@:2}"); done
    [[ $(client s3cr3t) ]] || echo "$1: OK after $(grep -o 'class=[a-z]*' <<<"$said")"
}
attempts "wrong password" wrong
attempts "in clear" wrong app '?ssl-mode=DISABLED'
attempts "not trusted" s3cr3t app "#ca=$OTHER"
attempts "another name" s3cr3t app "/app#ca=$CA"
attempts "plugin" s3cr3t pam
attempts "plugin in clear" s3cr3t pam '?ssl-mode=DISABLED'
for connect in 1 2 3 4 5; do exec 3<>/dev/tcp/10.77.0.1/3306; exec 3<&-; done
until (($(grep -c "closed normally without authentication" "$dir/log") >= 5)); do
    sleep 0.05
done
echo "after bare connects: $(client s3cr3t)"
echo "afterall: $(ask s3cr3t)"
"${root[@]}" -e 'flush hosts'
echo "after flush hosts: $(ask s3cr3t)"
"##;

#[test]
fn a_host_is_blocked_by_bare_connects_alone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = MariaDb::new();
    let dir = server.dir();
    dir.write("hosts", "127.0.0.1 localhost\n10.77.0.1 client.test\n");
    dir.write("nsswitch.conf", "hosts: files\n");
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--", "bash", "-eu"]);
    command.args(["-c", BLOCK, "bash"]).arg(dir.path()).arg(Afterall::program());
    command.env("USER_OPTION", "--user=root");
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let identity = ca.server(&["db.test"]);
    command.env("CERT", identity.cert_text()).env("KEY", identity.key_text());
    command.env("CA", ca.cert_text()).env("OTHER", other.cert_text());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{said}{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
    for wanted in [
        "wrong password: OK after class=auth\n",
        "in clear: OK after class=auth\n",
        "not trusted: OK after class=tls\n",
        "another name: OK after class=tls\n",
        "plugin: OK after class=auth\n",
        "plugin in clear: OK after class=auth\n",
        "after bare connects: 1129\n",
        "afterall: ✗ db  not ready",
        "1129",
        "FLUSH HOSTS",
        "[class=auth]",
        "after flush hosts: ✓ db  ready",
    ] {
        assert!(said.contains(wanted), "no {wanted:?} in\n{all}");
    }
}
