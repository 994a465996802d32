#!/bin/sh
# `sallyport bench` against a server of its own: every figure is there, each operation happened, and what cannot be
# measured is refused before a server starts.
set -eu
bin=${SALLYPORT_BIN:?the folder of the programs}
fail() { echo "bench: $*" >&2; exit 1; }

for what in enrol renew reconnect; do
  out=$("$bin/sallyport" bench $what --devices 6 --json) || fail "$what: exit $?"
  echo "$out"
  operations=6 floors=3
  [ $what != renew ] || operations=18 floors=5
  echo "$out" | jq -e --argjson n $operations --argjson floors $floors '
    .figures[0].operations == $n and (.figures | all(.server_cpu_us > 0 and .per_second > 0 and .p99_us >= .p50_us))
    and .server_peak_rss_kib >= .server_rss_kib and .server_rss_kib > 0 and (.floors | length == $floors and all(.cpu_us > 0))' >/dev/null || fail "$what: figures"
done
"$bin/sallyport" bench reconnect --devices 2 | grep -q '^reconnect  *2 ops' || fail "text"
if "$bin/sallyport" bench renew --rounds 5 2>/dev/null; then fail "five rounds are above what a device may ask for"; fi
if "$bin/sallyport" bench enrol --devices 0 2>/dev/null; then fail "no devices"; fi

out=$("$bin/sallyport" bench fanout --clients 8 --mib 2 --json) || fail "fanout: exit $?"
echo "$out"
echo "$out" | jq -e '.figures[0].operations == 2 and .figures[1].operations == 8 and (.figures | all(.server_cpu_us_per_gb > 0 and .p99_us >= .p50_us))
  and (.floors | length == 2 and all(.cpu_us > 0))' >/dev/null || fail "fanout: figures"
if "$bin/sallyport" bench fanout --mib 0 2>/dev/null; then fail "nothing to load"; fi

out=$("$bin/sallyport" bench install --mib 8 --json) || fail "install: exit $?"
echo "$out"
echo "$out" | jq -e '[.rows[] | select(.what | test("^(copy and fsync|sallyport, with|  of which)"))] | length == 3
  and all(.milliseconds >= 0 and .peak_rss_kib > 0 and .bytes > 0)' >/dev/null || fail "install: figures"
"$bin/sallyport" bench install --mib 8 | grep -q '^sallyport, with read-back ' || fail "install: text"
if "$bin/sallyport" bench install --mib 0 2>/dev/null; then fail "no image"; fi
if "$bin/sallyport" bench install --image /dev/null 2>/dev/null; then fail "an update needs two images"; fi
