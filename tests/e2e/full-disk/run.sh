#!/usr/bin/env bash
# Fills the disks of a server and of a node, each a small file system of its own: what needs space is refused with
# its reason, nothing is half written, and all of it goes on once there is space again.
#   run.sh        exit code 77 when this machine lets us mount nothing
# Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_FULL_DISK_PORT:-18010}
# shellcheck source=../demo/lib.sh
. ../demo/lib.sh
# shellcheck source=../checks.sh
. ../checks.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/sf.XXXXXX")
cp_dir=$work/cp
nodes=(cam-1)
declare -A site=([cam-1]=berlin) tag=([cam-1]=camera) node_pid=() identity=()
mounted=()
unmount_and_clean() {
  local status=$? dir
  for pid in "${node_pid[@]}" ${server_pid:+"$server_pid"}; do kill "$pid" 2> /dev/null || true; done
  wait 2> /dev/null || true
  for dir in "${mounted[@]}"; do
    if [ "$status" != 0 ]; then mkdir -p "$dir.kept" && cp -a "$dir/." "$dir.kept"; fi
    umount "$dir" || true
  done
  if [ "$status" = 0 ] || [ "$status" = 77 ]; then rm -rf "$work"; else echo "state and logs stay in $work" >&2; fi
}
trap unmount_and_clean EXIT
trap 'exit 130' INT TERM

# small_disk DIR SIZE: DIR is a file system of its own from now on, with what it held.
small_disk() {
  mkdir -p "$1" "$work/held"
  cp -a "$1/." "$work/held"
  mount -t tmpfs -o "size=$2" tmpfs "$1"
  mounted+=("$1")
  cp -a "$work/held/." "$1"
  rm -rf "$work/held"
}
# fill DIR: not one block is left.
is_full() {
  cat /dev/zero >> "$1/ballast" 2> /dev/null || true
  [ "$(df --output=avail "$1" | tail -n 1)" -eq 0 ]
}
fill() { wait_for 10 "$1 to be full" is_full "$1"; }
free() { rm "$1/ballast"; }
logged() { grep -q "$2" "$work/$1"; }
device_online() { [ "$(sallyport device show cam-1 --json | jq -r .online)" = true ]; }
device_offline() { [ "$(sallyport device show cam-1 --json | jq -r .online)" = false ]; }
status_is_new() { [ "$work/cam-1/state/status.json" -nt "$work/freed" ]; }
kill_agent() { kill -9 "$(pgrep -P "${node_pid[cam-1]}" -x sallyport-agent)"; }
count_enrolments() { in_store "SELECT COUNT(*) FROM verdicts WHERE purpose = 'enrol' AND passed = 1"; }
renewals() { status_of cam-1 | jq .renewals; }
renewed_beyond() { agent_in_state cam-1 stream && [ "$(renewals)" -gt "$1" ]; }
serial_is_not() { [ "$(certificate_serial cam-1)" != "$1" ]; }

if ! mkdir "$work/probe-mount" || ! mount -t tmpfs -o size=64k tmpfs "$work/probe-mount" 2> /dev/null; then
  echo "skipped: a small file system cannot be mounted here"
  exit 77
fi
umount "$work/probe-mount"

step "Found a trust domain with its state on a disk of 16 MiB, and one node with a disk of 1 MiB"
small_disk "$cp_dir/state" 16m
quiet sallyport init --dir "$cp_dir" --trust-domain full.example --development --base-port "$base_port" --evidence-lifetime 10s
# The keys of people left the disk of the server, readable by their owner only.
[ ! -e "$cp_dir/state/update-keys/offline" ] || fail "offline keys stayed with the server"
[ -z "$(find "$cp_dir/offline" -type f -perm /077)" ] || fail "offline keys are open to others"
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
make_image 1.0.0 ''
make_node cam-1
sed -i 's/^backoff_max: .*/backoff_max: 1s/' "$work/cam-1/agent.yaml"
make_reference
quiet sallyport reference import "$work/reference.json" --class online
make_enrolment cam-1
small_disk "$work/cam-1/state" 1m

step "A server without space refuses, and says why"
boot_node cam-1
wait_for 30 "cam-1 to be admitted" agent_in_state cam-1 stream
identity[cam-1]=$(device_id cam-1)
fill "$cp_dir/state"
wait_for 30 "a renewal to be refused" logged sallyportd.log store.full
certificates=$(in_store 'SELECT COUNT(*) FROM certificates')
if sallyport device quarantine cam-1 --why test --json > "$work/quarantine.json" 2> /dev/null; then fail "a change was taken that cannot be kept"; fi
jq -e '.error.detail | test("store.full")' "$work/quarantine.json" > /dev/null || fail "the refusal does not name the reason: $(cat "$work/quarantine.json")"
quiet sallyport status
check_server 1
wait_for 30 "the certificate to lapse" agent_in_state cam-1 reattest
expect_in_store "certificates since the disk is full" 'SELECT COUNT(*) FROM certificates' "$certificates"
check_server 1
free "$cp_dir/state"
wait_for 30 "cam-1 to be admitted again" agent_in_state cam-1 stream
before=$(renewals)
wait_for 30 "cam-1 to renew" renewed_beyond "$before"
check_agent cam-1
check_server 1
passed "renewals and changes were refused with store.full and went on with space"

step "A server that starts without space says so, or serves"
fill "$cp_dir/state"
kill "$server_pid"
wait "$server_pid" || true
sallyportd --config "$cp_dir/sallyportd.yaml" > "$work/start.log" 2>&1 &
server_pid=$!
started_or_ended() { ! kill -0 "$server_pid" 2> /dev/null || curl -fsS "http://127.0.0.1:$(( base_port + 4 ))/readyz"; }
wait_for 20 "the server to start or to end" started_or_ended
if kill -0 "$server_pid" 2> /dev/null; then kill "$server_pid"; fi
wait "$server_pid" || grep -Eq 'no-space|store\.(full|io)' "$work/start.log" || fail "it ended without its reason: $(cat "$work/start.log")"
free "$cp_dir/state"
start_control_plane
wait_for 30 "cam-1 to come back" device_online
check_server 1
passed "with space again it serves as before"

step "An agent without space goes on with what it has, and says what it cannot keep"
fill "$work/cam-1/state"
serial=$(certificate_serial cam-1)
wait_for 30 "a certificate that cannot be written" logged cam-1/agent.log 'certificate_not_written reason="no-space'
wait_for 30 "cam-1 to stay in service" device_online
# A restart without space: the device is who it was.
kill_agent
wait_for 30 "cam-1 to go" device_offline
wait_for 30 "cam-1 to come back" device_online
check_server 1
touch "$work/freed"
free "$work/cam-1/state"
wait_for 3 "its status to be written" status_is_new
wait_for 30 "its certificate to be written" serial_is_not "$serial"
wait_for 30 "cam-1 to be admitted" agent_in_state cam-1 stream
check_agent cam-1
# It enrols for the first time without space to remember it: the next start enrols again, as the same device.
kill_agent
rm -rf "$work/cam-1/state"/*
fill "$work/cam-1/state"
enrolments=$(count_enrolments)
enrolled_again() { [ "$(count_enrolments)" -ge $(( enrolments + 2 )) ]; }
wait_for 30 "the state that cannot be written" logged cam-1/agent.log 'state_not_saved reason="no-space'
wait_for 30 "cam-1 to be admitted" device_online
kill_agent
wait_for 30 "cam-1 to enrol again" enrolled_again
free "$work/cam-1/state"
wait_for 30 "cam-1 to remember itself" test -s "$work/cam-1/state/agent.json"
wait_for 30 "cam-1 to be admitted" agent_in_state cam-1 stream
check_agent cam-1
check_server 1
passed "one device through all of it"

step "An update without space fails with its reason and leaves the running system alone"
make_image 2.0.0 ''
cp -r "$cp_dir/state/image" "$work/repo"
mount -o remount,size=64m "$cp_dir/state"
publish_release 2.0.0 > "$work/publish.log" 2>&1
small_disk "$work/cam-1/esp" 1m
fill "$work/cam-1/esp"
quiet sallyport rollout create v2 --release edge-os/2.0.0 --canary cam-1
quiet sallyport rollout approve v2
halted() { [ "$(sallyport rollout status "$1" --json | jq -r .state)" = halted ]; }
wait_for 40 "the rollout to halt" halted v2
detail=$(in_store "SELECT state || ' ' || detail FROM rollout_devices WHERE rollout = 'v2'")
[[ $detail == "FAILED install.esp-space"* ]] || fail "the device reported: $detail"
agent_runs_slot cam-1 A || fail "cam-1 does not run its old slot"
cmp "$work/uki-1.0.0.efi" "$work/cam-1/esp/EFI/sallyport/a.efi" || fail "the running kernel image was touched"
free "$work/cam-1/esp"
make_image 3.0.0 ''
publish_release 3.0.0 > "$work/publish.log" 2>&1
quiet sallyport rollout create v3 --release edge-os/3.0.0 --canary cam-1
quiet sallyport rollout approve v3
wait_for 40 "cam-1 to run the next release" agent_runs_slot cam-1 B
check_agent cam-1
check_server 1
passed "with space the next release was installed"
printf '%s\n' "${shown[@]}" "$SECONDS s"
