#!/usr/bin/env bash
# A real edge node, started by real firmware: enrolled by its own measured boot, updated by the agent, rebooted through
# BootNext into the other slot, judged again, committed. Then a release that panics: the firmware goes back by itself.
#   run.sh [efi|systemd-boot|grub] [cuts] [panic] [no-kernel] [health]     one boot loader, and what is tried on it
# Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_VM_PORT:-23010}
# shellcheck source=../../e2e/demo/lib.sh
. ../../e2e/demo/lib.sh
node_tools=$(cd ../../node && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/sv.XXXXXX")
cp_dir=$work/cp
declare -A node_pid=()
# shellcheck source=../machine.sh
. ../machine.sh
trap machine_cleanup EXIT
trap 'exit 130' INT TERM

patience=1200  # seconds for one boot or installation, on a machine that has much else to do
cuts=no
scenario_cuts() { :; }
# runs_release VERSION: the server's record of the device names the digest of that release.
runs_release() { [ "$(sallyport device show edge-1 --json | jq -r .release)" = "$(sallyport release list --repository "$work/repo" --json | jq -r --arg v "$1" '.releases[] | select(.version == $v) | .digest')" ]; }
slot_b_has_bytes() { ! cmp -s -n 65536 -i "$slot_b_at:0" "$work/disk.img" /dev/zero; }
cut_while_writing() {
  wait_for "$patience" "the first bytes in slot B" slot_b_has_bytes
  power_off
  passed "power cut in the middle of the installation: the update is $(device_of "$1" | jq -r .state)"
  power_on
}
cut_in_trial() {
  power_off
  passed "power cut in the trial boot of $1"
  power_on
}

# trial_is_spent: what the trial of slot B found when it came up: one more boot would be slot A again.
trial_is_spent() {
  local found
  case $boot_loader in
    efi) found="vm: BootCurrent: $(entry B) BootOrder: $(entry A)" ;;
    systemd-boot) found='vm: entries ./sallyport-a.efi ./sallyport-b+1-1.efi' ;;
    grub) found='vm: grubenv ORDER=A B A_OK=1 A_TRY=0 B_OK=0 B_TRY=0' ;;
  esac
  printed 1 "$found" || fail "the trial is not spent: $(grep -a '^vm: [Beg]' "$work/serial.log" | tail -n 3)"
  passed "the trial is spent: ${found#vm: }"
}
# entry SLOT: the number that the factory's list gives it.
entry() { sed -n "s/^Boot\([0-9A-F]*\)\* Sallyport $1.*/\1/p" "$work/serial.log"; }

# rolls_back ROLLOUT VERSION: the release of a version that is made fails on this machine, which then runs 2.0.0.
rolls_back() {
  local runs
  runs=$(grep -acF "vm: version 2.0.0 runs" "$work/serial.log")
  publish_release "$2" > "$work/publish.txt"
  roll_out "$1" "$2"
  wait_for "$patience" "the rollback" update_is "$1" ROLLED_BACK
  printed "$((runs + 1))" "vm: version 2.0.0 runs" || fail "the machine never came back"
  wait_for "$patience" "edge-1 to be in order again" device_posture edge-1 passing
  runs_release 2.0.0 || fail "the server shows $(sallyport device show edge-1)"
  if is_off; then fail "the machine is off"; fi
}
scenario_panic() {
  step "Release 3.0.0 panics: the boot goes back by itself"
  words=vm.fault=panic make_system 3.0.0
  rolls_back v3 3.0.0
  printed 1 "vm: first program gives up" || fail "3.0.0 was never started"
  passed "panicked, back in slot B, reported: $(device_of v3 | jq -r '.state + " at gate " + .gate')"
}
scenario_no-kernel() {
  step "Release 4.0.0 has no kernel: the firmware goes on to the good slot in the same boot"
  make_system 4.0.0
  objcopy --remove-section .linux "$work/uki-4.0.0.efi"
  rolls_back v4 4.0.0
  passed "refused, back in slot B, reported: $(device_of v4 | jq -r '.state + " at gate " + .gate')"
}
scenario_health() {
  step "Release 5.0.0 comes up and fails its probe"
  health_timeout=2m make_system 5.0.0
  rolls_back v5 5.0.0
  printed 1 "vm: version 5.0.0 runs" || fail "5.0.0 was never started"
  passed "given up by the agent, back in slot B, reported: $(device_of v5 | jq -r '.state + " at gate " + .gate')"
}

boot_loader=efi
case ${1-} in efi | systemd-boot | grub) boot_loader=$1; shift ;; esac
case " $* " in *' cuts '*) cuts=yes ;; esac

step "Found a trust domain; make version 1.0.0 for real firmware"
"$machine_tools/kernel.sh" "$kernel"
quiet sallyport init --dir "$cp_dir" --trust-domain vm.example --development --base-port "$base_port" --evidence-lifetime 10m
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
make_initrd
make_system 1.0.0
quiet sallyport-virtual-node create --dir "$work/chip" --name edge-1 --vendor "$work/vendor" --uki "$work/uki-1.0.0.efi" --image "$work/image-1.0.0.img" --slot-mib 96
mv "$work/chip/tpm" "$work/tpm"
mkdir "$work/state"
# The machine reaches the host's loopback at 10.0.2.2.
quiet sallyport token create --out "$work/enrolment.json" --name edge-1 --site berlin --tags gateway --auto-approve
sed 's/127\.0\.0\.1/10.0.2.2/g' "$work/enrolment.json" > "$work/state/enrolment.json"
make_disk 1.0.0 "$work/state"
cp -r "$cp_dir/state/image" "$work/repo"

step "The factory: boot entries, and the log of a good boot"
power_on
wait_for "$patience" "the first boot" is_off
printed 1 "vm: provisioned" || fail "the factory ended badly: $(tail -n 5 "$work/serial.log")"
from_state /event_log > "$work/event_log"
write_reference "$work/event_log"
quiet sallyport reference import "$work/reference.json" --class online
passed "reference values from the firmware's log in force"

step "The firmware boots slot A by its entry; the agent enrols with the measured boot"
power_on
wait_for "$patience" "edge-1 to be admitted" device_is edge-1 active
passed "enrolled by /dev/tpmrm0 and the log of the kernel"

step "Release 2.0.0: installed into slot B, booted once, judged, committed"
make_system 2.0.0 "# another file"
publish_release 2.0.0 > "$work/publish.txt"
roll_out v2 2.0.0
[ "$cuts" = no ] || cut_while_writing v2
wait_for "$patience" "2.0.0 to run" printed 1 "vm: version 2.0.0 runs"
[ "$cuts" = no ] || cut_in_trial 2.0.0
trial_is_spent
wait_for "$patience" "the commit" update_is v2 COMMITTED
runs_release 2.0.0 || fail "the server shows $(sallyport device show edge-1)"
passed "trial in slot B accepted and committed; the server shows 2.0.0"

for scenario in "$@"; do "scenario_$scenario"; done
