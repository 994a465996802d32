#!/usr/bin/env bash
# A real U-Boot counts the boots that the adapter of ota/install gave to a slot. The first partition is not needed: a
# slot that would be started says so and switches off, which is a system that never commits.
#   run.sh
# Needs SALLYPORT_BIN: the directory of the built programs; u-boot.bin of build.sh in SALLYPORT_VM_UBOOT, or builds it.
set -euo pipefail
cd "$(dirname "$0")"
: "${SALLYPORT_BIN:?the directory of the built programs}"

work=$(mktemp -d "${TMPDIR:-/tmp}/su.XXXXXX")
trap 'rm -rf "$work"' EXIT
u_boot=${SALLYPORT_VM_UBOOT:-$work}
./build.sh "$u_boot"
card=$work/card.img
fail() { echo "FAILED  $*" >&2; tail -n 20 "$work/serial.log" >&2; exit 1; }
adapter() { "$SALLYPORT_BIN/boot_control_tool" u-boot "$work/fw_env.config" "$@"; }
# value NAME: as Debian's tool reads it.
value() { fw_printenv -c "$work/fw_env.config" -n "$1"; }
# boots SLOT: one start of the machine ends in the slot.
boots() {
  timeout 60 qemu-system-aarch64 -machine virt,accel=tcg -cpu cortex-a57 -m 256 -nographic -nodefaults -no-reboot -serial stdio \
    -bios "$u_boot/u-boot.bin" -device sdhci-pci -drive "if=none,id=card,format=raw,file=$card" -device sd-card,drive=card < /dev/null > "$work/serial.log" 2>&1 || fail "U-Boot does not end"
  grep -a 'vm: slot' "$work/serial.log" | tr -d '\r'
  [ "$(grep -ao 'vm: slot . starts' "$work/serial.log")" = "vm: slot $1 starts" ] || fail "U-Boot did not start slot $1"
}
step() { echo "== $*"; }

truncate -s 64M "$card"
printf '%s 0x100000 0x4000\n%s 0x140000 0x4000\n' "$card" "$card" > "$work/fw_env.config"
# The page's script, with a kernel that only says its name.
# shellcheck disable=SC2016  # U-Boot's own variable
sed -n '/^boot_slot=a$/,/^altbootcmd=/p' ../../../docs/updates.md | sed 's/^boot_one=.*/boot_one=echo "vm: slot ${boot_slot} starts"; poweroff/' > "$work/initial"
grep -q '^boot_one=echo' "$work/initial" && grep -q ^altbootcmd= "$work/initial" || fail "the script is not in docs/updates.md"
fw_setenv -c "$work/fw_env.config" -f "$work/initial" made yes

step "The default"
boots a
step "Disarmed: slot b is being written"
adapter disarm b
boots a
step "A trial that does not commit: one boot, then back"
adapter arm b
[ "$(adapter next)" = B ] || fail "the trial is not armed"
boots b
[ "$(adapter next)" = none ] || fail "U-Boot did not count: bootcount is $(value bootcount)"
grep -aq 'bootlimit\|Warning' "$work/serial.log" && fail "the limit was reached in the trial"
boots a
grep -aq 'Bootlimit (1) exceeded' "$work/serial.log" || fail "it went back without the count"
boots a
[ "$(value upgrade_available)" = 0 ] || fail "the trial is still open"
step "A trial that commits"
adapter arm b
boots b
adapter default b
boots b
boots b
step "The copy in use is lost: U-Boot takes the other, and so does the adapter"
adapter disarm a
adapter arm a
for at in 1048576 1310720; do
  cp "$card" "$work/whole.img"
  dd if=/dev/zero of="$card" bs=1 seek="$at" count=64 conv=notrunc status=none
  wanted=$(adapter next | sed 's/A/a/; s/none/b/')
  boots "$wanted"
  cp "$work/whole.img" "$card"
done
echo "$(grep -a -m 1 -o 'U-Boot 20[0-9.]*' "$work/serial.log") agrees with the adapter"
