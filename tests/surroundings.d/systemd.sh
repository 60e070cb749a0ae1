# examples/systemd/scheduler.service under a booted systemd, in the system that has servers.
# This mount namespace sees the changes, and they vanish with it.

root=$LAB/systemd
mkdir -p "$root" changes
mount -t tmpfs tmpfs changes
mkdir changes/upper changes/work
mount -t overlay -o "lowerdir=$LAB/rootfs,upperdir=changes/upper,workdir=changes/work" overlay "$root"
systemctl --root="$root" mask console-getty.service >/dev/null 2>&1
rm -f "$root"/etc/systemd/system/multi-user.target.wants/{postgresql,nats-server}.service
install -m 755 afterall "$root/usr/bin/afterall"
mkdir -p "$root/usr/lib/scheduler/migrations" "$root/etc/scheduler"
install -m 755 service "$root/usr/lib/scheduler/scheduler"
echo 'create table jobs()' >"$root/usr/lib/scheduler/migrations/20260801120000_jobs.sql"
echo 'DATABASE_URL=postgres://app:p%23w@127.0.0.1/app' >"$root/etc/scheduler/environment"
# The unit as it is. Its NATS server is on this machine and lets everybody in.
cp "$EXAMPLES/systemd/scheduler.service" "$root/etc/systemd/system/"
echo '127.0.0.1 nats.internal' >>"$root/etc/hosts"
cp "$HERE/systemd.creds" "$root/etc/scheduler/nats.creds"
install -m 755 "$HERE/systemd-inside" "$root/lab"
cat >"$root/etc/systemd/system/lab.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/lab
ExecStopPost=/bin/systemctl --no-block poweroff
UNIT
ln -sf ../lab.service "$root/etc/systemd/system/multi-user.target.wants/lab.service"
timeout 200 systemd-nspawn -q --register=no --keep-unit -D "$root" --private-network -b \
    >boot.log 2>&1 </dev/null || true
if [[ -s $root/lab.out ]]; then
    while IFS=$'\t' read -r name wanted got; do check "$name" "$wanted" "$got"; done <"$root/lab.out"
else
    check "systemd boots" yes "$(tail -3 boot.log)"
fi
grep -q $'^done\t' "$root/lab.out" 2>/dev/null || check "every check inside was reached" yes no
cp "$root/lab.err" systemd.err 2>/dev/null || true
umount "$root" changes
