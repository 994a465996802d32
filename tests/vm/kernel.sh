#!/bin/sh
# Unpacks Debian's kernel for virtual machines, without installing it: OUT/vmlinuz, OUT/modules/*.ko and OUT/modules/order,
# the order to load them in. Does nothing when they are there.
#   kernel.sh OUT
set -eu
out=$1
[ ! -f "$out/modules/order" ] || exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"

# The meta package names the version. Without lists of packages both come to nothing.
fetch() {
  package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/^  Depends: \(linux-image-.*\)/\1/p')
  [ -n "$package" ] && apt-get download -qq "$package" 2> log
}
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
fetch || { $as_root apt-get update -qq && fetch; } || { cat log >&2; echo "kernel.sh: Debian's cloud kernel cannot be downloaded" >&2; exit 1; }
dpkg -x linux-image-*.deb tree

mkdir -p "$out/modules"
order=
# load NAME: after what it depends on.
load() {
  case " $order " in *" $1 "*) return ;; esac
  file=$(find tree/lib/modules -name "$1.ko" -o -name "$(echo "$1" | tr _ -).ko" | head -n 1)
  [ -n "$file" ] || { echo "kernel.sh: the kernel has no module $1" >&2; exit 1; }
  for below in $(modinfo -F depends "$file" | tr , ' '); do load "$below"; done
  file=$(find tree/lib/modules -name "$1.ko" -o -name "$(echo "$1" | tr _ -).ko" | head -n 1)
  cp "$file" "$out/modules/$1.ko"
  order="$order $1"
}
for module in virtio_pci virtio_blk virtio_net erofs dm-verity vfat nls_cp437 nls_ascii efivarfs; do load "$module"; done
cp tree/boot/vmlinuz-* "$out/vmlinuz"
echo "$order" > "$out/modules/order"
