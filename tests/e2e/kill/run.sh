#!/usr/bin/env bash
# Kills the control plane and the agents (SIGKILL) at many moments of enrolment, renewal, policy and update, starts
# them again, and looks each time whether anything was forgotten, doubled or left half written. Nobody helps: what
# was killed comes back by itself or by being started, and operators only repeat what they were not answered.
#   run.sh        SALLYPORT_KILL_SEED chooses the moments (default 1)
# Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_KILL_PORT:-17010}
# shellcheck source=../demo/lib.sh
. ../demo/lib.sh
# shellcheck source=../checks.sh
. ../checks.sh

RANDOM=${SALLYPORT_KILL_SEED:-1}
work=$(mktemp -d "${TMPDIR:-/tmp}/sk.XXXXXX")
cp_dir=$work/cp
nodes=(cam-1 rec-1)
declare -A site=([cam-1]=berlin [rec-1]=berlin) tag=([cam-1]=camera [rec-1]=recorder) node_pid=() identity=()
server_kills=0 agent_kills=0 policy_version=0
trap cleanup EXIT
trap 'exit 130' INT TERM

# moment MS: lets a random part of MS pass; when the kill falls is what the seed decides.
moment() { local ms=$(( RANDOM % $1 )); read -rt "$(printf '%d.%03d' $(( ms / 1000 )) $(( ms % 1000 )))" <> <(:) || true; }

kill_server() {
  moment "$1"
  kill -9 "$server_pid"
  wait "$server_pid" 2> /dev/null || true
  server_kills=$(( server_kills + 1 ))
}
restart_server() {
  sallyportd --config "$cp_dir/sallyportd.yaml" >> "$work/sallyportd.log" 2>&1 &
  server_pid=$!
  wait_for 20 "the control plane to come back" curl -fsS "http://127.0.0.1:$(( base_port + 4 ))/readyz"
}

agent_pid() { pgrep -P "${node_pid[$1]}" -x sallyport-agent; }
# kill_agent NAME MS: a moment after it runs. The status file is for people; what it said before would mislead.
kill_agent() {
  wait_for 20 "the agent of $1 to run" agent_pid "$1"
  moment "$2"
  kill -9 "$(agent_pid "$1")" 2> /dev/null || return 0  # it asked for a reboot in the same moment
  rm -f "$work/$1/state/status.json"
  agent_kills=$(( agent_kills + 1 ))
}
wait_for_stream() { wait_for 30 "$1 to come back" agent_in_state "$1" stream; }

publish_policy() { sallyport release publish --repository "$work/repo"; }
apply_policy() { sallyport policy apply "$work/policy.yaml"; }
sign_policy() {
  policy_version=$(( policy_version + 1 ))
  quiet sallyport policy manifest policy.yaml --inventory inventory.yaml --version "$policy_version" --expires "$(date -u -d '+30 days' +%Y-%m-%dT%H:%M:%SZ)" --out "$work/policy.json"
  quiet sallyport policy sign "$work/policy.json" --repository "$work/repo" --key "$cp_dir/offline/update-keys/policy-1.pem"
}
# repeat_policy asks until the answer is yes, as a person would: until then devices refuse what the director makes
# for them, because the policy that is published is not the one in force.
repeat_policy() {
  wait_for 20 "the policy to be published" publish_policy
  wait_for 20 "the policy to be applied" apply_policy
  expect_in_store "version of the policy in force" 'SELECT MAX(version) FROM policies' "$policy_version"
}

step "Found a trust domain, make two nodes, take reference values"
quiet sallyport init --dir "$cp_dir" --trust-domain kill.example --development --base-port "$base_port" --evidence-lifetime 10s
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
cp policy.yaml "$work/"
start_control_plane
make_image 1.0.0 ''
for name in "${nodes[@]}"; do make_node "$name"; sed -i 's/^backoff_max: .*/backoff_max: 1s/' "$work/$name/agent.yaml"; done
make_reference
quiet sallyport reference import "$work/reference.json" --class online
for name in "${nodes[@]}"; do make_enrolment "$name"; done
cp -r "$cp_dir/state/image" "$work/repo"

step "Kill the server while the nodes enrol"
for name in "${nodes[@]}"; do boot_node "$name"; done
for _ in 1 2 3 4 5; do
  kill_server 400
  restart_server
done
for name in "${nodes[@]}"; do
  wait_for_stream "$name"
  identity[$name]=$(device_id "$name")
done
check_server 2
passed "both nodes enrolled once, each with one record and one use of its token"

step "Kill the server while certificates are renewed and policies are published and applied"
for round in $(seq 14); do
  if [ $(( round % 2 )) = 0 ]; then
    [ $(( round % 4 )) != 2 ] || sign_policy
    { publish_policy && apply_policy; } > "$work/policy.log" 2>&1 &
    attempt=$!
    kill_server 150
    wait "$attempt" || true
  else
    kill_server 600
  fi
  restart_server
  check_server 2
  [ $(( round % 4 )) != 0 ] || repeat_policy
done
repeat_policy
for name in "${nodes[@]}"; do
  wait_for_stream "$name"
  wait_for 20 "$name to obey the policy" has_manifest "$name"
  check_agent "$name"
done
passed "$server_kills kills of the server: chain intact, nothing forgotten, nothing half written"

step "Kill the agents while they stream, renew, start and prove"
for round in $(seq 5); do
  for name in "${nodes[@]}"; do kill_agent "$name" 300; done
  # A device that has forgotten itself enrols again, as the same device and without another token.
  [ $(( round % 3 )) != 0 ] || rm -f "$work/cam-1/state/agent.json"
  for name in "${nodes[@]}"; do kill_agent "$name" 200; done
  for name in "${nodes[@]}"; do
    wait_for_stream "$name"
    check_agent "$name"
  done
  check_server 2
done
passed "$agent_kills kills of agents: each came back by itself, as the device it was"

# cut_power NAME MS: agent and TPM end at once; then the node is switched on again.
cut_power() {
  moment "$2"
  kill -9 "${node_pid[$1]}"
  wait "${node_pid[$1]}" 2> /dev/null || true
  rm -f "$work/$1/state/status.json"
  boot_node "$1"
  agent_kills=$(( agent_kills + 1 ))
}
update_of() { in_store "SELECT r.state FROM rollout_devices r JOIN devices ON id = r.device_id WHERE rollout = 'v2' AND name = '$1'"; }
updated() { [ "$(update_of "$1")" = COMMITTED ] && agent_runs_slot "$1" B; }
# Slot, kernel image, boot order and record say the same.
check_update() {
  local dir=$work/$1 order
  cmp -n "$(stat -c %s "$work/image-2.0.0.img")" "$work/image-2.0.0.img" "$dir/slot-b.img" || fail "slot B of $1 does not hold the release"
  cmp "$work/uki-2.0.0.efi" "$dir/esp/EFI/sallyport/b.efi" || fail "$1 has another kernel image for slot B"
  order=$(od -An -tu2 -j4 "$dir"/efivars/BootOrder-* | tr -s ' ' | sed 's/^ //')
  [ "$order" = "1 0" ] || fail "boot order of $1 is $order"
  if ls "$dir"/efivars/BootNext-* > /dev/null 2>&1; then fail "$1 still has a boot pending"; fi
}

step "Kill agent, node and server during an update"
make_image 2.0.0 ''
publish_release 2.0.0 > "$work/publish.log" 2>&1
quiet sallyport rollout create v2 --release edge-os/2.0.0 --canary cam-1
quiet sallyport rollout approve v2
for _ in 1 2 3; do kill_agent cam-1 900; done
cut_power cam-1 1500
kill_agent cam-1 1500
cut_power cam-1 2500
wait_for 40 "the canary to commit" updated cam-1
check_update cam-1
quiet sallyport rollout advance v2
kill_server 700
restart_server
kill_agent rec-1 700
kill_server 1500
restart_server
wait_for 40 "the other node to commit" updated rec-1
check_update rec-1
for name in "${nodes[@]}"; do check_agent "$name"; done
check_server 2
passed "the update was committed on both nodes"

[ "$server_kills" -ge 20 ] || fail "only $server_kills kills of the server"
[ "$agent_kills" -ge 20 ] || fail "only $agent_kills kills of agents"
printf '%s\n' "${shown[@]}" "$server_kills kills of the server, $agent_kills of agents and nodes, $SECONDS s"
