# Functions of run.sh. Everything is waited for by looking, never by a fixed pause.
: "${SALLYPORT_BIN:?the directory of the built programs}"
PATH=$SALLYPORT_BIN:$PATH
base_port=${SALLYPORT_DEMO_PORT:-15010}
node_tools=$(cd ../../node && pwd)
shown=() figures=() backends=() held=''

if [ -t 1 ]; then bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'; else bold='' green='' red='' plain=''; fi
now_ms() { date +%s%3N; }
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }
quiet() { "$@" > "$work/quiet.txt" 2>&1 || { cat "$work/quiet.txt" >&2; fail "$1 failed"; }; }
passed() { printf '%sok%s  %s\n' "$green" "$plain" "$*"; shown+=("$*"); }
figure() { figures+=("$1=$2"); }
fail() {
  printf '%sFAILED%s  %s\n' "$red" "$plain" "$*" >&2
  [ ! -f "$work/sallyportd.log" ] || { echo "-- sallyportd, last lines" >&2; tail -n 15 "$work/sallyportd.log" >&2; }
  for log in "$work"/*/agent.log; do [ ! -f "$log" ] || { echo "-- $log, last lines" >&2; tail -n 6 "$log" >&2; }; done
  exit 1
}
# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_for() {
  local until=$(( $(now_ms) + $1 * 1000 )) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ "$(now_ms)" -lt "$until" ] || fail "waited in vain for $what"
    sleep 0.2
  done
}

cleanup() {
  local status=$?
  for pid in "${node_pid[@]}" "${backends[@]}" ${held:+"$held"}; do kill "$pid" 2> /dev/null || true; done
  sleep 0.5
  [ -z "${server_pid-}" ] || kill "$server_pid" 2> /dev/null || true
  wait 2> /dev/null || true
  if [ "$status" = 0 ]; then rm -rf "$work"; else echo "state and logs stay in $work" >&2; fi
}

start_control_plane() {
  sallyportd --config "$cp_dir/sallyportd.yaml" > "$work/sallyportd.log" 2>&1 &
  server_pid=$!
  wait_for 30 "the control plane" curl -fsS "http://127.0.0.1:$(( base_port + 4 ))/readyz"
}
renewal_cpu_us() { curl -fsS "http://127.0.0.1:$(( base_port + 4 ))/metrics" | awk '$1 == "sallyport_renewal_cpu_seconds_total" {cpu = $2} $1 == "sallyport_renewals_total" {n = $2} END {printf "%.0f", n ? cpu * 1000000 / n : 0}'; }

# make_image VERSION FAULT: a root image of 24 MiB and a UKI that names it.
make_image() {
  local image=$work/image-$1.img
  { printf 'root file system %s\n' "$1"; openssl enc -aes-128-ctr -K "$(printf %s "$1" | sha256sum | cut -c1-32)" -iv 00000000000000000000000000000000 -in /dev/zero 2> /dev/null | head -c 8388608; } > "$image" || true
  truncate -s 24M "$image"
  quiet sh "$node_tools/make_uki.sh" --version "$1" --image "$image" --out "$work/uki-$1.efi" ${2:+--fault "$2"}
}

p=$base_port
declare -A proxy_port=([cam-1]=$((p+91)) [cam-2]=$((p+92)) [cam-3]=$((p+93)) [rec-1]=$((p+94)) [rec-2]=$((p+95)) [gw-1]=$((p+96)))
declare -A backend_port=([rec-1]=$((p+194)) [rec-2]=$((p+195)) [gw-1]=$((p+196)))
declare -A flow_port=([cam-1:rec-1]=$((p+291)) [cam-1:rec-2]=$((p+292)) [cam-2:rec-1]=$((p+293)) [cam-3:rec-2]=$((p+294)) [rec-1:gw-1]=$((p+295)))

make_node() {
  local name=$1 dir=$work/$1 port=${proxy_port[$1]} key
  quiet sallyport-virtual-node create --dir "$dir" --name "$name" --vendor "$work/vendor" --uki "$work/uki-1.0.0.efi" --image "$work/image-1.0.0.img" --slot-mib 32 --watchdog-ms 2000
  {
    cat "$dir/hardware.yaml"
    echo "advertise: 127.0.0.1:$port"
    echo "backoff_max: 3s"
    echo "proxy:"
    echo "  listen: 127.0.0.1:$port"
    case $name in
      rec-*) printf '  inbound:\n    rtsp: 127.0.0.1:%s\n' "${backend_port[$name]}" ;;
      gw-1) printf '  inbound:\n    upload: 127.0.0.1:%s\n' "${backend_port[$name]}" ;;
    esac
    local first=yes
    for key in "${!flow_port[@]}"; do
      [ "${key%%:*}" = "$name" ] || continue
      [ -z "$first" ] || echo "  outbound:"
      first=''
      local service=rtsp
      [ "${key##*:}" != gw-1 ] || service=upload
      echo "    - {service: $service, to: ${key##*:}, listen: \"127.0.0.1:${flow_port[$key]}\"}"
    done
  } > "$dir/agent.yaml"
  quiet sallyport-agent --config "$dir/agent.yaml" --check-config
}

boot_node() {
  local name=$1
  shift
  sallyport-virtual-node boot --dir "$work/$name" --agent "$SALLYPORT_BIN/sallyport-agent" "$@" > "$work/$name/node.log" 2>&1 &
  node_pid[$name]=$!
}
stop_node() {
  kill "${node_pid[$1]}"
  wait "${node_pid[$1]}" 2> /dev/null || true
}

# make_reference boots a seventh, throw-away node without an agent and reads its log.
make_reference() {
  make_probe_node
  write_reference "$work/probe/run/binary_bios_measurements"
}
# write_reference LOG: reference.json from the event log of a good boot.
write_reference() {
  local log=$1
  sallyport evidence replay --log "$log" --json > "$work/replay.json"
  sallyport evidence events --log "$log" --json > "$work/events.json"
  jq -n --slurpfile replay "$work/replay.json" --slurpfile events "$work/events.json" '
    {sallyport: "reference/v1", class: "online", bank: "sha256",
     pcrs: (($replay[0].banks.sha256 | {"0": {value: .["0"]}, "2": {value: .["2"]}, "7": {value: .["7"]}, "11": {value: .["11"]}}) +
            {"4": {events: [$events[] | select(.pcr == 4 and .type == "EV_EFI_BOOT_SERVICES_APPLICATION")
                            | {type: .type, digest: .digests.sha256, what: "release 1.0.0"}]}})}' > "$work/reference.json"
  jq -c '.pcrs | map_values(if .events then {events: (.events | length)} else .value[0:16] end)' "$work/reference.json"
}
make_probe_node() {
  quiet sallyport-virtual-node create --dir "$work/probe" --name probe --vendor "$work/vendor" --uki "$work/uki-1.0.0.efi" --image "$work/image-1.0.0.img" --slot-mib 32
  quiet sallyport-virtual-node boot --dir "$work/probe" --agent /bin/true
}

make_enrolment() {
  local name=$1 out=$work/$1/enrolment.json
  case $name in
    cam-3) quiet sallyport token create --out "$out" --name "$name" --site "${site[$name]}" --tags "${tag[$name]}" ;;
    gw-1) # listed by its EK: the file carries no token
      quiet sallyport token create --out "$work/any.json" --site "${site[$name]}" --tags "${tag[$name]}"
      jq -c '.token = ""' "$work/any.json" > "$out" ;;
    *) quiet sallyport token create --out "$out" --name "$name" --site "${site[$name]}" --tags "${tag[$name]}" --auto-approve ;;
  esac
}

status_of() { cat "$work/$1/state/status.json"; }
agent_in_state() { [ "$(status_of "$1" | jq -r .state)" = "$2" ]; }
agent_runs_slot() { [ "$(status_of "$1" | jq -r .slot)" = "$2" ] && agent_in_state "$1" stream; }
has_manifest() { [ "$(status_of "$1" | jq -r .manifest_version)" -gt 0 ]; }
device_is() { [ "$(sallyport device list --json | jq -r --arg n "$1" '.[] | select(.name == $n) | .state')" = "$2" ]; }
device_posture() { [ "$(sallyport device show "$1" --json | jq -r .posture)" = "$2" ]; }
device_id() { status_of "$1" | jq -r .device_id; }
total_renewals() { for name in "${nodes[@]}"; do status_of "$name" | jq .renewals; done | paste -sd+ | bc; }
every_node_renewed() { for name in "${nodes[@]}"; do [ "$(status_of "$name" | jq .renewals)" -gt 0 ] || return 1; done; }
renewals_reached() { [ "$(total_renewals)" -ge "$1" ]; }
sleep_until_renewals() { wait_for 120 "more renewals" renewals_reached "$1"; }

show_certificate() {
  local pem=$work/$1/state/certificate.pem bundle=$cp_dir/state/trust-bundle.json
  openssl x509 -in "$pem" -noout -text | grep -E 'Issuer:|Not (Before|After)|URI:|2\.25\.|Public-Key|TLS Web' | sed 's/^ */  /'
  jq -r .pki_root "$bundle" > "$work/root.pem"
  jq -r '.device_issuers[0]' "$bundle" > "$work/device-issuer.pem"
  say openssl verify -CAfile "$work/root.pem" -untrusted "$work/device-issuer.pem" "$pem"
  say sallyport id check "$(openssl x509 -in "$pem" -noout -ext subjectAltName | grep -o 'spiffe://[^, ]*')"
}

sign_and_publish_policy() {
  cp -r "$cp_dir/state/image" "$work/repo"
  quiet sallyport policy manifest "$work/policy.yaml" --inventory "$work/inventory.yaml" --version "$1" --expires "$(date -u -d '+30 days' +%Y-%m-%dT%H:%M:%SZ)" --out "$work/policy.json"
  say sallyport policy sign "$work/policy.json" --repository "$work/repo" --key "$cp_dir/offline/update-keys/policy-1.pem"
  say sallyport release publish --repository "$work/repo"
}
publish_release() {
  say sallyport release create --repository "$work/repo" --product edge-os --version "$1" --hardware virtual-x86_64 --uki "$work/uki-$1.efi" --image "$work/image-$1.img" --rollback-index "${1%%.*}"
  say sallyport release sign --repository "$work/repo" --key "$cp_dir/offline/update-keys/targets-1.pem"
  say sallyport release publish --repository "$work/repo"
}

start_backend() {
  socat "TCP-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr" EXEC:/bin/cat &
  backends+=($!)
}
flow_works() { [ "$(printf 'hello\n' | timeout 5 socat -t 2 - "TCP:127.0.0.1:$1" 2> /dev/null)" = hello ]; }
# A refusal names its peer by name until the slice gave it an id.
refusals_of() { status_of "$1" | jq --arg n "$2" --arg i "$(device_id "$2")" '[.refusals[] | select((.peer == $n or .peer == $i) and (.was_open | not))]'; }
refused() { refusals_of "$1" "$2" | jq -e 'length > 0'; }
refusal_reason() { refusals_of "$1" "$2" | jq -r '.[-1].reason'; }
explain_denial() {
  say sallyport policy explain "$work/policy.yaml" --inventory "$work/inventory.yaml" --from cam-1 --to rec-2 --service rtsp --attested 10s --attested-to 10s || [ $? = 1 ]
}

hold_connection() {
  mkfifo "$work/hold"
  socat - "TCP:127.0.0.1:$1" < "$work/hold" > "$work/held.txt" 2>&1 &
  held=$!
  exec 9> "$work/hold"
  printf 'still here\n' >&9
  wait_for 10 "the held connection to answer" grep -q 'still here' "$work/held.txt"
}
held_connection_died() { wait_for 10 "the held connection to end" sh -c "! kill -0 $held"; held=''; exec 9>&-; }
peer_connected() { status_of "$1" | jq -e --arg p "$(device_id "$2")" '[.connections[] | select(.peer == $p)] | length > 0'; }
cut_by_peer() { status_of "$1" | jq -e --arg p "$(device_id "$2")" '[.refusals[] | select(.peer == $p and .was_open)] | length > 0'; }
cut_at() { status_of "$1" | jq --arg p "$(device_id "$2")" '[.refusals[] | select(.peer == $p and .was_open)][-1].at_ms'; }
failed_at() { sallyport device explain "$1" --json | jq '[.verdicts[] | select(.verdict == "fail")][-1].at_ms'; }
explained_difference() { sallyport device explain "$1" --json | jq -e '.verdicts[0] | .verdict == "fail" and .purpose == "reattest" and (.diff | length > 0)'; }

summary() {
  printf '\n%s== What was shown%s\n' "$bold" "$plain"
  for line in "${shown[@]}"; do printf '  %sok%s  %s\n' "$green" "$plain" "$line"; done
  printf '\n%s== Figures of this run%s\n' "$bold" "$plain"
  for line in "${figures[@]}"; do printf '  %-28s %s\n' "${line%%=*}" "${line#*=}"; done
  [ -z "$json_file" ] || write_json
}
write_json() {
  printf '%s\n' "${shown[@]}" | jq -R . | jq -s --argjson figures "$(printf '%s\n' "${figures[@]}" | jq -R 'split("=") | {(.[0]): (.[1] | tonumber)}' | jq -s add)" '{shown: ., figures: $figures}' > "$json_file"
}
