# What must be true of a fleet whatever has just happened to it. Sourced beside demo/lib.sh; each function fails
# the test with what it found.

# in_store SQL: one value of the server's database, read beside the running server.
in_store() { sqlite3 -cmd '.timeout 5000' "file:$cp_dir/state/sallyport.db?mode=ro" "$1"; }
# expect_in_store WHAT SQL VALUE
expect_in_store() {
  local got
  got=$(in_store "$2") || fail "$1: the database cannot be read"
  [ "$got" = "$3" ] || fail "$1: $got instead of $3"
}
certificate_serial() { openssl x509 -in "$work/$1/state/certificate.pem" -noout -serial | cut -d= -f2 | tr 'A-F' 'a-f'; }

# check_server DEVICES: nothing in the server's state is half written, and nothing it gave away is forgotten.
check_server() {
  local name
  quiet sallyport audit verify
  expect_in_store "pages of the database" 'PRAGMA integrity_check' ok
  expect_in_store "references between rows" 'SELECT COUNT(*) FROM pragma_foreign_key_check' 0
  expect_in_store "devices" 'SELECT COUNT(*) FROM devices' "$1"
  expect_in_store "uses of tokens without a device" "SELECT (SELECT SUM(uses) FROM tokens) - (SELECT COUNT(*) FROM devices WHERE provenance = 'token')" 0
  expect_in_store "certificates without an audit entry" "SELECT (SELECT COUNT(*) FROM certificates) - (SELECT COUNT(*) FROM audit WHERE event = 'certificate-issued')" 0
  expect_in_store "passes without a spent ticket" 'SELECT (SELECT COUNT(*) FROM verdicts) - (SELECT COUNT(*) FROM spent_tickets)' 0
  expect_in_store "devices whose certificate is not stored" 'SELECT COUNT(*) FROM devices WHERE serial_next NOT IN (SELECT serial FROM certificates)' 0
  check_evidence
  quiet sallyport release inspect "$cp_dir/state/image"
  for name in "${nodes[@]}"; do
    [ ! -f "$work/$name/state/certificate.pem" ] || expect_in_store "the certificate that $name holds" "SELECT COUNT(*) FROM certificates WHERE serial = '$(certificate_serial "$name")'" 1
  done
}
# Every piece of evidence that a verdict names is there, and is what its name says.
check_evidence() {
  local hash damaged
  for hash in $(in_store 'SELECT DISTINCT evidence_sha256 FROM verdicts WHERE evidence_sha256 IS NOT NULL'); do
    [ -f "$cp_dir/state/evidence/${hash:0:2}/$hash" ] || fail "evidence $hash of a verdict is missing"
  done
  damaged=$(find "$cp_dir/state/evidence" -type f ! -name '*.tmp' -exec sha256sum {} + | awk '{n = split($2, part, "/"); if (part[n] != $1) print $2}')
  [ -z "$damaged" ] || fail "evidence is not what its name says: $damaged"
}

# check_agent NAME: it is who it was, with a certificate that lives.
check_agent() {
  local dir=$work/$1/state
  jq -e --arg id "${identity[$1]}" '.device_id == $id' "$dir/agent.json" > /dev/null || fail "$1 is another device than before"
  openssl x509 -in "$dir/certificate.pem" -noout -checkend 0 > /dev/null || fail "the certificate of $1 has ended"
  expect_in_store "the certificate that $1 holds" "SELECT COUNT(*) FROM certificates WHERE serial = '$(certificate_serial "$1")'" 1
}
