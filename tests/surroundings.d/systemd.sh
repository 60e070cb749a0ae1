# examples/systemd/scheduler.service under a booted systemd, in the base system with servers.

root=$LAB/systemd
rm -rf "$root"
cp -a --reflink=auto "$LAB/rootfs" "$root"
systemctl --root="$root" mask console-getty.service >/dev/null 2>&1
rm -f "$root"/etc/systemd/system/multi-user.target.wants/{postgresql,nats-server}.service
install -m 755 afterall "$root/usr/bin/afterall"
mkdir -p "$root/usr/lib/scheduler/migrations" "$root/etc/scheduler"
install -m 755 service "$root/usr/lib/scheduler/scheduler"
echo 'create table jobs()' >"$root/usr/lib/scheduler/migrations/20260801120000_jobs.sql"
echo 'DATABASE_URL=postgres://app:p#w@127.0.0.1/app' | sed 's/#/%23/' >"$root/etc/scheduler/environment"
# The unit as it stands. Its NATS server is on this machine and lets everybody in.
cp "$EXAMPLES/systemd/scheduler.service" "$root/etc/systemd/system/"
echo '127.0.0.1 nats.internal' >>"$root/etc/hosts"
cp "$HERE/systemd.creds" "$root/etc/scheduler/nats.creds"
install -m 755 "$HERE/systemd-inside" "$root/lab"
cat >"$root/etc/systemd/system/lab.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/lab
ExecStopPost=/bin/systemctl --no-block poweroff
UNIT
ln -sf ../lab.service "$root/etc/systemd/system/multi-user.target.wants/lab.service"
timeout 150 systemd-nspawn -q --register=no --keep-unit -D "$root" --private-network -b >boot.log 2>&1 || true
if [[ -s $root/lab.out ]]; then
    while IFS=$'\t' read -r name wanted got; do check "$name" "$wanted" "$got"; done <"$root/lab.out"
else
    check "systemd boots" yes "$(tail -3 boot.log)"
fi
grep -q $'^done\t' "$root/lab.out" 2>/dev/null || check "every check inside was reached" yes no
rm -rf "$root"
