#!/usr/bin/env bash
# One virtual node takes a sealed release, whose key only its TPM opens, in full, and then one by delta; nothing that
# the operator, the server or the node keeps shows image or key (docs/updates.md, "Confidentiality").
#   run.sh        Needs SALLYPORT_BIN: the directory of the built programs.
set -euo pipefail
cd "$(dirname "$0")"
SALLYPORT_DEMO_PORT=${SALLYPORT_SEALED_PORT:-25010}
# shellcheck source=../demo/lib.sh
. ../demo/lib.sh
# shellcheck source=../checks.sh
. ../checks.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/sx.XXXXXX")
cp_dir=$work/cp
declare -A site=([cam-1]=berlin) tag=([cam-1]=camera) node_pid=()
trap cleanup EXIT
trap 'exit 130' INT TERM

# create VERSION [OPTION...]: stages and signs a sealed release; its key is in key-VERSION.
create() {
  local version=$1
  shift
  sallyport release create --repository "$work/repo" --product edge-os --version "$version" --hardware virtual-x86_64 --uki "$work/uki-$version.efi" --image "$work/image-$version.img" --rollback-index "${version%%.*}" --encrypt --content-key "$work/key-$version" "$@" --json > "$work/create.json"
  quiet sallyport release sign --repository "$work/repo" --key "$cp_dir/offline/update-keys/targets-1.pem"
}
publish() { sallyport release publish --repository "$work/repo" "$@" --json > "$work/publish.json"; }
roll_out() {
  quiet sallyport rollout create "$1" --release "edge-os/$2" --canary cam-1
  quiet sallyport rollout approve "$1"
  sallyport rollout watch "$1" --until-canary > "$work/watch.txt" || fail "release $2 did not commit: $(tail -n 3 "$work/watch.txt")"
  quiet sallyport rollout advance "$1"
}
deliveries() { in_store "SELECT COUNT(*) FROM audit WHERE event = 'content-key.delivered'"; }
# nowhere WHAT: a text that no file of operator's repository, service and node holds.
nowhere() {
  local found
  found=$(grep -rlaF -- "$1" "$work/repo" "$cp_dir/state" "$work/cam-1/state" "$work/sallyportd.log" "$work/cam-1/agent.log" 2> /dev/null || true)
  [ -z "$found" ] || fail "found where it must not be: $found"
}
# Of the image that only this release has; not of the slot, which is the device's.
secret_of() { head -n 1 "$work/image-$1.img"; }

step "One node, admitted"
quiet sallyport init --dir "$cp_dir" --trust-domain sealed.example --development --base-port "$base_port" --evidence-lifetime 60s
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
make_image 1.0.0 ''
make_node cam-1
sed -i "s/^  health: .*/  health: {timeout: 20s, units: []}/" "$work/cam-1/agent.yaml"
make_reference > "$work/reference.txt"
quiet sallyport reference import "$work/reference.json" --class online
make_enrolment cam-1
boot_node cam-1
wait_for 60 "cam-1 to be admitted" agent_in_state cam-1 stream
cp -r "$cp_dir/state/image" "$work/repo"
passed "cam-1 is admitted"

step "A sealed release: made, published, and not rolled out while nobody gave its key"
make_image 2.0.0 ''
create 2.0.0
[ "$(stat -c %a "$work/key-2.0.0")" = 600 ] || fail "others can read the key"
jq -e '.sealed | .scheme == "xchacha20-poly1305/v1" and (.key_id | length == 64)' "$work/create.json" > "$work/quiet.txt" || fail "create does not say that it is sealed"
publish
sallyport release list --repository "$work/repo" | grep -q 'sealed, key ' || fail "list does not say that it is sealed"
if sallyport rollout create v2 --release edge-os/2.0.0 --canary cam-1 > "$work/refused.txt" 2>&1; then fail "a rollout without a key"; fi
grep -q 'rollout.content-key' "$work/refused.txt" || fail "refused otherwise: $(cat "$work/refused.txt")"
if publish --content-key "$work/image-1.0.0.img"; then fail "an image was taken for a key"; fi
publish --content-key "$work/key-2.0.0"
jq -e '.content_key.releases == ["edge-os/2.0.0"]' "$work/publish.json" > "$work/quiet.txt" || fail "the service does not name the release"
nowhere "$(head -c 64 "$work/key-2.0.0")"
nowhere "$(secret_of 2.0.0)"
passed "the service has the key, sealed; image and key show nowhere"

step "The node gets the key wrapped to its TPM and installs"
roll_out v2 2.0.0
wait_for 60 "cam-1 to run slot B" agent_runs_slot cam-1 B
[ "$(deliveries)" = 1 ] || fail "$(deliveries) deliveries in the audit"
jq -e '.credential_blob | length > 64' "$work/cam-1/state/content-key.json" > "$work/quiet.txt" || fail "the wrapped key is not kept"
nowhere "$(head -c 64 "$work/key-2.0.0")"
nowhere "$(secret_of 2.0.0)"
passed "committed; one delivery in the audit; the node keeps the wrapped key alone"

step "The next one by delta, under a key of its own"
make_image 2.1.0 ''
create 2.1.0 --from "$work/image-2.0.0.img"
publish --content-key "$work/key-2.1.0"
cmp -s "$work/key-2.0.0" "$work/key-2.1.0" && fail "the same key twice"
roll_out v21 2.1.0
wait_for 60 "cam-1 to run slot A" agent_runs_slot cam-1 A
[ "$(deliveries)" = 2 ] || fail "$(deliveries) deliveries in the audit"
quiet sallyport audit verify
passed "a sealed delta over a sealed release"

step "A bundle carries no keys, so there is none of a sealed release"
quiet sallyport release keys create --out "$work/usb.pem" --unsealed
quiet sallyport release delegate --repository "$work/repo" --name usb --path bundles/usb.json --threshold 1 --serial-min 1 --serial-max 9 --key "$work/usb.pem.pub"
quiet sallyport release sign --repository "$work/repo" --key "$cp_dir/offline/update-keys/targets-1.pem"
publish
if sallyport release bundle --repository "$work/repo" --role usb --release edge-os/2.1.0 --serial 1 > "$work/bundle.txt" 2>&1; then fail "a bundle of a sealed release"; fi
grep -q 'bundle.sealed' "$work/bundle.txt" || fail "refused otherwise: $(cat "$work/bundle.txt")"
passed "refused with its name"
