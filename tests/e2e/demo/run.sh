#!/usr/bin/env bash
# Shows a small fleet at work, with real parts throughout: control plane on SQLite, six virtual nodes with software
# TPMs in two sites, mutual TLS everywhere. See README.md for what each step proves.
#   run.sh [--keep] [--json FILE]
# Needs SALLYPORT_BIN: the directory of the built programs. Exit 0 only if every step did what it says.
set -euo pipefail
started_in=${SALLYPORT_DEMO_CWD:-$PWD}  # ./demo changes directory before it starts this
cd "$(dirname "$0")"
# shellcheck source=lib.sh
. ./lib.sh

keep='' json_file=''
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=yes ;;
    --json) json_file=$2; shift ;;
    *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
case $json_file in '' | /*) ;; *) json_file=$started_in/$json_file ;; esac

work=$(mktemp -d "${TMPDIR:-/tmp}/sp.XXXXXX")
cp_dir=$work/cp
nodes=(cam-1 cam-2 cam-3 rec-1 rec-2 gw-1)
declare -A site=([cam-1]=berlin [cam-2]=berlin [rec-1]=berlin [cam-3]=oslo [rec-2]=oslo [gw-1]=oslo)
declare -A tag=([cam-1]=camera [cam-2]=camera [cam-3]=camera [rec-1]=recorder [rec-2]=recorder [gw-1]=gateway)
declare -A node_pid=()
trap cleanup EXIT
trap 'exit 130' INT TERM

step "Found a trust domain: PKI, operator root, update keys, first operator"
say sallyport init --dir "$cp_dir" --trust-domain demo.example --development --base-port "$base_port" --evidence-lifetime 60s
export SALLYPORT_CONFIG=$cp_dir/operator/config.yaml
quiet sallyport-virtual-node vendor --dir "$work/vendor"
cp "$work/vendor/root.pem" "$work/vendor/intermediate.pem" "$cp_dir/vendor/"
start_control_plane
say sallyport status
passed "control plane founded and ready"

step "Make six virtual nodes: software TPM with EK certificates, UEFI-like firmware, two slots each"
make_image 1.0.0 ''
for name in "${nodes[@]}"; do make_node "$name"; done
passed "${#nodes[@]} nodes made"

step "Take reference values of a clean boot and import them by signed approval"
make_reference
say sallyport reference import "$work/reference.json" --class online
passed "reference values active for class online"

step "Enrol: one node by its listed EK, the others by token"
ek=$(openssl pkey -pubin -outform DER -in <(openssl x509 -inform DER -in "$work/gw-1/ek-p256.der" -noout -pubkey) | sha256sum | cut -d' ' -f1)
echo "$ek gw-1 oslo online gateway" > "$work/eks.txt"
say sallyport device import "$work/eks.txt"
for name in "${nodes[@]}"; do make_enrolment "$name"; done
enrol_start=$(now_ms)
for name in "${nodes[@]}"; do boot_node "$name"; done
for name in cam-1 cam-2 rec-1 rec-2 gw-1; do wait_for 60 "$name to be admitted" agent_in_state "$name" stream; done
enrol_ms=$(( $(now_ms) - enrol_start ))
wait_for 60 "cam-3 to wait for an operator" device_is cam-3 pending
say sallyport device approve cam-3
wait_for 60 "cam-3 to be admitted" agent_in_state cam-3 stream
say sallyport device list
# From power-on of five nodes to their streams: firmware, TPM start and the whole protocol on this machine.
figure enrolments_per_second "$(awk "BEGIN{printf \"%.1f\", 5*1000/$enrol_ms}")"
passed "6 nodes proved key, boot and identity; one needed an operator's approval"

step "Look at a certificate: its key lives in the TPM, and OpenSSL agrees"
show_certificate cam-1
passed "openssl verifies the chain; one SPIFFE id; attestation extension present"

step "Write, check, test, sign and apply a policy"
cp policy.yaml inventory.yaml "$work/"
say sallyport policy check "$work/policy.yaml" --inventory "$work/inventory.yaml"
say sallyport policy test "$work/policy.yaml" --inventory "$work/inventory.yaml"
sign_and_publish_policy 1
say sallyport policy apply "$work/policy.yaml"
for name in "${nodes[@]}"; do wait_for 30 "$name to obey the policy" has_manifest "$name"; done
passed "policy signed offline, published, in force on every node"

step "An allowed flow works, a denied one is refused with its reason"
start_backend "${backend_port[rec-1]}"
start_backend "${backend_port[rec-2]}"
start_backend "${backend_port[gw-1]}"
wait_for 20 "cam-1 to reach rec-1" flow_works "${flow_port[cam-1:rec-1]}"
echo "cam-1 -> rec-1 rtsp: echoed through two proxies over mutual TLS 1.3"
wait_for 20 "rec-1 to reach gw-1" flow_works "${flow_port[rec-1:gw-1]}"
echo "rec-1 -> gw-1 upload: echoed"
if flow_works "${flow_port[cam-1:rec-2]}"; then fail "cam-1 reached rec-2 of another site"; fi
wait_for 10 "cam-1 to note the refusal" refused cam-1 rec-2
echo "cam-1 -> rec-2 rtsp: refused, reason: $(refusal_reason cam-1 rec-2)"
explain_denial
passed "both ends decide; the denial says why"

step "Certificates renew by themselves (lifetime 60 s)"
renewals_before=$(total_renewals)
wait_for 90 "every node to renew" every_node_renewed
sleep_until_renewals $(( renewals_before + 12 ))
renewals=$(( $(total_renewals) - renewals_before ))
figure renewal_server_cpu_us "$(renewal_cpu_us)"
echo "$renewals renewals; $(renewal_cpu_us) us of server CPU for each, to judge, commit and sign"
passed "renewals happened in view"

step "Release 2.0.0: create, sign offline, publish, one canary, then all"
make_image 2.0.0 ''
publish_release 2.0.0
say sallyport rollout create v2 --release edge-os/2.0.0 --canary cam-1
say sallyport rollout approve v2
update_start=$(now_ms)
sallyport rollout watch v2 --until-canary > "$work/watch.txt" || fail "the canary did not commit"
figure update_seconds "$(awk "BEGIN{printf \"%.1f\", ($(now_ms)-$update_start)/1000}")"
say sallyport rollout advance v2
sallyport rollout watch v2 > "$work/watch.txt" || fail "rollout v2 did not complete"
sallyport rollout status v2
for name in "${nodes[@]}"; do wait_for 60 "$name to run slot B" agent_runs_slot "$name" B; done
passed "every node runs 2.0.0 from its other slot; each commit came after an accepted attestation"

step "A node whose PCRs change while it runs is cut off, with its live connections"
wait_for 30 "cam-2 to reach rec-1" flow_works "${flow_port[cam-2:rec-1]}"
hold_connection "${flow_port[cam-2:rec-1]}"
wait_for 20 "rec-1 to see the connection" peer_connected rec-1 cam-2
quiet tpm2_pcrextend -T "swtpm:path=$work/cam-2/tpm/tpm.sock" "4:sha256=$(printf intruder | sha256sum | cut -d' ' -f1)"
echo "PCR 4 of cam-2 extended; waiting for its next proof"
wait_for 90 "cam-2 to be refused" device_posture cam-2 failing
wait_for 20 "rec-1 to cut the connection" cut_by_peer rec-1 cam-2
cut_ms=$(( $(cut_at rec-1 cam-2) - $(failed_at cam-2) ))
[ "$cut_ms" -ge 0 ] || cut_ms=0
figure cut_off_ms "$cut_ms"
held_connection_died || fail "the held connection is still open"
echo "live connection cut at rec-1 $cut_ms ms after the verdict"
passed "posture, certificate and live connections ended together"

step "A tampered image is refused, and the differing event is named"
stop_node cam-2
boot_node cam-2 --tamper
wait_for 60 "cam-2 to be refused after the tampered boot" explained_difference cam-2
sallyport device explain cam-2 --json | jq -r '.verdicts[0] | "rule \(.rule)", (.diff[] | "PCR \(.pcr) event \(.event): \(.type) has digest \(.got // "-")")' | cut -c1-160
passed "no certificate of any kind for the tampered node"

step "A bad release rolls back by itself"
make_image 3.0.0 panic
publish_release 3.0.0
say sallyport rollout create v3 --release edge-os/3.0.0 --canary cam-1
say sallyport rollout approve v3
if sallyport rollout watch v3 > "$work/watch.txt"; then fail "rollout v3 did not halt"; fi
sallyport rollout status v3
[ "$(sallyport rollout status v3 --json | jq -r .state)" = halted ] || fail "rollout v3 is not halted"
wait_for 60 "cam-1 to be admitted again" agent_in_state cam-1 stream
agent_runs_slot cam-1 B || fail "cam-1 does not run its old slot"
passed "the kernel panicked, the firmware fell back, the node reported it, the rollout halted"

step "The audit holds all of it"
sallyport audit tail --limit 5
say sallyport audit verify
passed "hash chain intact"

summary
if [ -n "$keep" ]; then
  echo "Still running. SALLYPORT_CONFIG=$SALLYPORT_CONFIG; end it with: kill $$"
  wait
fi
