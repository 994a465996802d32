#!/usr/bin/env bash
# A machine that no server reaches takes a release from a folder, commits it by its own health, and is admitted by
# the server afterwards (docs/operations/usb-update.md, sections 4 to 6).
#   run.sh        Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_USB_PORT:-21010}
# shellcheck source=../demo/lib.sh
. ../demo/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/su.XXXXXX")
cp_dir=$work/cp
nodes=(cam-1)
declare -A site=([cam-1]=berlin) tag=([cam-1]=camera) node_pid=()
trap cleanup EXIT
trap 'exit 130' INT TERM

# install BUNDLE [OPTION...]
install() {
  local bundle=$1
  shift
  sallyport-agent update install "$work/$bundle" "$@" --config "$work/cam-1/agent.yaml" --json > "$work/install.json" 2> "$work/install.log"
}
# refused RULE BUNDLE [OPTION...]
refused() {
  local rule=$1
  shift
  if install "$@"; then fail "bundle $1 was taken"; fi
  [ "$(jq -r .error.rule "$work/install.json")" = "$rule" ] || fail "refused with $(cat "$work/install.json") instead of $rule"
}
answer() { [ "$(jq -r .state "$work/cam-1/state/install-answer.json")" = "$1" ]; }
runs_slot() { [ "$(status_of cam-1 | jq -r .slot)" = "$1" ]; }
# make_bundle SERIAL [OPTION...]: published by the server, packed into bundle-SERIAL.
make_bundle() {
  local serial=$1
  shift
  quiet sallyport release bundle --repository "$work/repo" --role usb --release edge-os/2.0.0 --serial "$serial" "$@"
  quiet sallyport release sign --repository "$work/repo" --role usb --key "$work/usb.pem"
  quiet sallyport release publish --repository "$work/repo"
  quiet sallyport release bundle --repository "$work/repo" --role usb --out "$work/bundle-$serial"
}

step "Found a trust domain, enrol a node, and lose the network"
quiet sallyport init --dir "$cp_dir" --trust-domain usb.example --development --base-port "$base_port" --evidence-lifetime 60s
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
make_image 1.0.0 ''
make_node cam-1
sed -i "s|^  health: .*|  health: {timeout: 15s, units: []}\n  hooks: {before_install: $work/before-install}|" "$work/cam-1/agent.yaml"
cat > "$work/before-install" <<'SH'
#!/bin/sh
cd "${0%/*}" && mkdir once || exit 0
mv bundle-3 pulled
SH
chmod +x "$work/before-install"
make_reference
quiet sallyport reference import "$work/reference.json" --class online
make_enrolment cam-1
boot_node cam-1
wait_for 60 "cam-1 to be admitted" agent_in_state cam-1 stream
cp -r "$cp_dir/state/image" "$work/repo"
make_image 2.0.0 ''
quiet sallyport release keys create --out "$work/usb.pem" --unsealed
quiet sallyport release delegate --repository "$work/repo" --name usb --path bundles/usb.json --threshold 1 --serial-min 2 --serial-max 9 --key "$work/usb.pem.pub"
publish_release 2.0.0
make_bundle 2
make_bundle 3 --commit-locally
kill "$server_pid"
wait "$server_pid" 2> /dev/null || true
passed "two bundles packed; the server is gone"

step "What is not for this machine, or not whole, is refused and leaves nothing"
refused '' nowhere
refused tuf.unknown-target bundle-3 --role service
cp -r "$work/bundle-3" "$work/altered"
sed -i 's/"commit":"local"/"commit" :"local"/' "$work/altered/metadata/bundle.json"
refused bundle.statement altered
[ ! -e "$work/cam-1/state/bundles" ] || fail "a refused bundle was written down"
passed "a folder that is none, another role, an altered statement"

step "A stick that is pulled out may be put back"
install bundle-3 &   # the hook pulls it
installing=$!
wait_for 60 "the agent to miss the stick" grep -q bundle.folder-gone "$work/install.log"
mv "$work/pulled" "$work/bundle-3"
wait "$installing" || fail "the installation did not go on: $(cat "$work/install.json" "$work/install.log")"
jq -e '.state == "ARMED" or .state == "TRIAL"' "$work/install.json" > /dev/null || fail "not armed: $(cat "$work/install.json")"
passed "installed from the folder, armed"

step "It commits by its own health, because nobody judged it and the bundle allows that"
rm -rf "$work/bundle-3"
wait_for 60 "cam-1 to run slot B" runs_slot B
wait_for 90 "cam-1 to commit" answer COMMITTED
refused tuf.rollback bundle-2
stop_node cam-1
rm -f "$work/cam-1/state/status.json"
boot_node cam-1
wait_for 30 "cam-1 to run slot B after a power cycle" runs_slot B
passed "2.0.0 is the default; an older bundle is refused"

step "The server meets a release that it never assigned: refused, named, and admitted by a rollout"
start_control_plane
wait_for 60 "cam-1 to be refused" device_posture cam-1 failing
sallyport explain device cam-1 release edge-os/2.0.0 --json > "$work/explained.json" || true
jq -e '.gates[] | select(.gate == "rollout" and .result == "fail")' "$work/explained.json" > /dev/null || fail "explain does not name the missing rollout: $(cat "$work/explained.json")"
quiet sallyport rollout create tour --release edge-os/2.0.0 --canary cam-1
quiet sallyport rollout approve tour
stop_node cam-1   # a failed boot is cleared by another boot
boot_node cam-1
wait_for 60 "cam-1 to be admitted again" agent_in_state cam-1 stream
runs_slot B || fail "cam-1 went back"
tour_done() { [ "$(sallyport rollout status tour --json | jq -r .done)" = 1 ]; }
wait_for 60 "the rollout to hear of the commit" tour_done
passed "admitted with 2.0.0, and the rollout knows"
