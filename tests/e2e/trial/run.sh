#!/usr/bin/env bash
# One virtual node under its owner's rules: a good release commits, hooks and an inhibitor take their part, a release
# whose probe fails is rolled back by the node itself, once, and its operator reads why.
#   run.sh
# Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_TRIAL_PORT:-18510}
# shellcheck source=../demo/lib.sh
. ../demo/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/st.XXXXXX")
cp_dir=$work/cp
declare -A site=([cam-1]=berlin) tag=([cam-1]=camera) node_pid=()
trap cleanup EXIT
trap 'exit 130' INT TERM

# The owner's programs: a probe that release 3.0.0 fails, and hooks that write down that they ran.
make_rules() {
  cat > "$work/picture" <<'SH'
#!/bin/sh
[ "$SALLYPORT_VERSION" != 3.0.0 ] || { printf 'no picture\033[2J\n'; exit 1; }
SH
  cat > "$work/hook" <<'SH'
#!/bin/sh
echo "${0##*/} $SALLYPORT_VERSION $SALLYPORT_SLOT" >> "${0%/*}/hooks.log"
SH
  chmod +x "$work/picture" "$work/hook"
  for name in before-install before-reboot after-commit after-rollback; do cp "$work/hook" "$work/$name"; done
  : > "$work/watchdog"
  cat > "$work/rules.yaml" <<YAML
  health: {timeout: 20s, units: [], probes: [{name: picture, command: [$work/picture]}]}
  hooks: {before_install: $work/before-install, before_reboot: $work/before-reboot, after_commit: $work/after-commit, after_rollback: $work/after-rollback}
  windows: {reboot: [{days: [mon, tue, wed, thu, fri, sat, sun], start: "00:00", duration: 1d, tz: UTC}], reboot_takes: 1s}
  watchdog: $work/watchdog
YAML
  sed -i "/^  health:/d; /^  efivars:/r $work/rules.yaml" "$work/cam-1/agent.yaml"
  quiet sallyport-agent --config "$work/cam-1/agent.yaml" --check-config
}
update_status() { sallyport-agent update status --json --config "$work/cam-1/agent.yaml"; }
waits_at() { [ "$(update_status | jq -r .gate)" = "$1" ]; }
device_of() { sallyport rollout status "$1" --json | jq -r '.devices[0]'; }
has_log() { device_of "$1" | jq -e '.log // "" | length > 0'; }
rolled_back_by() { [ "$(device_of "$1" | jq -r '.state + " " + .gate')" = "ROLLED_BACK $2" ]; }
roll_out() {
  make_image "$2" ''
  publish_release "$2" > "$work/publish.txt"
  quiet sallyport rollout create "$1" --release "edge-os/$2" --canary cam-1
  quiet sallyport rollout approve "$1"
}

step "One node with probes, hooks, a window, a watchdog"
quiet sallyport init --dir "$cp_dir" --trust-domain trial.example --development --base-port "$base_port" --evidence-lifetime 60s
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
make_image 1.0.0 ''
make_node cam-1
make_rules
make_reference > "$work/reference.txt"
quiet sallyport reference import "$work/reference.json" --class online
make_enrolment cam-1
cp -r "$cp_dir/state/image" "$work/repo"
boot_node cam-1
wait_for 60 "cam-1 to be admitted" agent_in_state cam-1 stream
passed "the node runs under its owner's rules"

step "An inhibitor holds the reboot; the release is installed ahead and commits when it is lifted"
mkdir -p "$work/cam-1/state/inhibit"
echo "operation until 14:00" > "$work/cam-1/state/inhibit/surgeon"
roll_out v2 2.0.0
wait_for 60 "the update to wait for the inhibitor" waits_at inhibited
update_status | jq -e '.state == "VERIFIED" and .inhibitors == [{"who": "surgeon", "why": "operation until 14:00"}] and .windows.reboot.open' > "$work/quiet.txt" || fail "status does not show who inhibits"
sallyport-agent update status --config "$work/cam-1/agent.yaml"
[ "$(device_of v2 | jq -r .gate)" = inhibited ] || fail "the operator does not see the inhibitor"
rm "$work/cam-1/state/inhibit/surgeon"
sallyport rollout watch v2 --until-canary > "$work/watch.txt" || fail "the good release did not commit"
quiet sallyport rollout advance v2
wait_for 60 "cam-1 to run slot B" agent_runs_slot cam-1 B
[ "$(cat "$work/hooks.log")" = $'before-install 2.0.0 B\nbefore-reboot 2.0.0 B\nafter-commit 2.0.0 B' ] || fail "hooks: $(cat "$work/hooks.log")"
[ "$(tail -c 1 "$work/watchdog")" = V ] || fail "the watchdog was not stopped by the commit"
passed "held, committed; hooks ran; watchdog fed $(( $(stat -c %s "$work/watchdog") - 1 )) times and stopped"

step "A release whose probe fails is rolled back by the node, once, and says why"
: > "$work/hooks.log"
roll_out v3 3.0.0
if sallyport rollout watch v3 > "$work/watch.txt"; then fail "rollout v3 did not halt"; fi
wait_for 60 "the log of the failed boot" has_log v3
wait_for 60 "the old slot to prove itself, and the gate to be the probes" rolled_back_by v3 probes
wait_for 60 "cam-1 to be admitted again" agent_in_state cam-1 stream
agent_runs_slot cam-1 B || fail "cam-1 does not run its old slot"
! grep -q $'\033' <(sallyport rollout status v3; sallyport device show cam-1) || fail "an escape sequence reached the terminal"
sallyport explain device cam-1 release edge-os/3.0.0 > "$work/explain.txt" && fail "explain says yes" || [ $? = 1 ]
grep -q 'ROLLED_BACK at gate probes: picture: .*no picture?\[2J' "$work/explain.txt" || fail "explain does not name the probe: $(cat "$work/explain.txt")"
grep -q 'log of the boot that failed' "$work/explain.txt" || fail "explain shows no log"
grep -E '^(no|fail  trial)' "$work/explain.txt" | cut -c1-160
[ "$(cat "$work/hooks.log")" = $'before-install 3.0.0 A\nbefore-reboot 3.0.0 A\nafter-rollback 3.0.0 A' ] || fail "hooks: $(cat "$work/hooks.log")"
boots=$(grep -c node_booted "$work/cam-1/node.log")
[ "$boots" = 4 ] || fail "the node booted $boots times, not 4: first boot, trial of 2.0.0, trial of 3.0.0, back"
passed "one rollback, four boots in all, gate and log at the operator"
