#!/bin/sh
# Runs the commands of one page of docs/operations: every fenced `sh` block, in order, in one shell and one scratch
# directory, with what the page takes for granted: build/uki.efi, build/root.img, and a SoftHSM of its own.
#   run.sh PAGE      SALLYPORT_BIN names the folder of the programs
set -eu
cd "$(dirname "$0")"
page=../../../docs/operations/$1
make_uki=$PWD/../../node/make_uki.sh
PATH=$SALLYPORT_BIN:$PATH
export PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
awk '/^```/ { inside = !inside && $0 == "```sh"; next } inside' "$page" > "$scratch/commands.sh"
[ -s "$scratch/commands.sh" ] || { echo "$1 has no commands" >&2; exit 1; }
mkdir "$scratch/work" "$scratch/work/build" "$scratch/tokens"
cd "$scratch/work"
head -c 65536 /dev/zero > build/root.img
sh "$make_uki" --version 2.0.0 --image build/root.img --out build/uki.efi > /dev/null
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$scratch" > "$scratch/softhsm2.conf"
export SOFTHSM2_CONF="$scratch/softhsm2.conf"
# Commands that must fail are written `! command` in the page, which -e ignores: fails() turns it into a check.
sed 's/^! /fails /' "$scratch/commands.sh" > "$scratch/run.sh"
sh -eu -c 'fails() { if "$@"; then echo "succeeded, and must not: $*" >&2; exit 1; fi; }; . "$0"' "$scratch/run.sh" < /dev/null > "$scratch/log" 2>&1 || {
  cat "$scratch/log" >&2
  exit 1
}
