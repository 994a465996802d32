#!/bin/sh
# Makes a unified kernel image around systemd's EFI stub: a real PE file with a tiny payload for virtual nodes.
# Equal arguments give equal bytes.
#   make_uki.sh --version 2.0.0 --image ROOTFS --out UKI [--fault no-kernel|hang|panic]
#   make_uki.sh --version 2.0.0 --kernel VMLINUZ --initrd FILE --cmdline TEXT --out UKI
# --image     the slot image that the kernel must find: its SHA-256 and size go into the command line
# --kernel    a real kernel, with its initrd and the whole command line, for machines that really boot
# --fault     a release that does not work: its stub finds no kernel (firmware falls through), or its kernel
#             hangs until the watchdog resets the node, or panics at once
set -eu

stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
version='' image='' out='' fault='' kernel='' initrd='' cmdline=''
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=$2 ;;
    --image) image=$2 ;;
    --out) out=$2 ;;
    --fault) fault=$2 ;;
    --kernel) kernel=$2 ;;
    --initrd) initrd=$2 ;;
    --cmdline) cmdline=$2 ;;
    *) echo "make_uki.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
case $fault in '' | no-kernel | hang | panic) ;; *) echo "make_uki.sh: unknown fault $fault" >&2; exit 2 ;; esac
if [ -z "$version" ] || [ -z "$image$kernel" ] || [ -z "$out" ]; then
  echo 'usage: make_uki.sh --version V --image ROOTFS --out UKI [--fault no-kernel|hang|panic]' >&2
  echo '       make_uki.sh --version V --kernel VMLINUZ --initrd FILE --cmdline TEXT --out UKI' >&2
  exit 2
fi
[ -r "$stub" ] || { echo "make_uki.sh: $stub is missing: install systemd-boot-efi" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# objcopy stamps the time of day into the PE header, and so into the checksum; equal input must give equal bytes.
clear_timestamp() {
  header=$(od -An -tu4 -j60 -N4 "$1" | tr -d ' ')
  for offset in 8 88; do
    printf '\0\0\0\0' | dd of="$1" bs=1 seek=$((header + offset)) conv=notrunc status=none
  done
}

printf 'ID=sallyport-edge\nVERSION_ID=%s\nPRETTY_NAME="Sallyport edge node %s"\n' "$version" "$version" >"$scratch/osrel"
if [ -n "$kernel" ]; then
  printf '%s' "$cmdline" >"$scratch/cmdline"
  cp "$initrd" "$scratch/initrd"
  cp "$kernel" "$scratch/linux"
else
  printf 'console=ttyS0 quiet sallyport.image=%s:%s' "$(sha256sum "$image" | cut -d' ' -f1)" "$(stat -c %s "$image")" >"$scratch/cmdline"
  case $fault in hang | panic) printf ' sallyport.fault=%s' "$fault" >>"$scratch/cmdline" ;; esac
  printf 'initrd of sallyport-edge %s\n' "$version" >"$scratch/initrd"
  # The kernel is itself a PE file: firmware hashes it by Authenticode, so any EFI application will do.
  printf '%s' "$version" >"$scratch/kernel-version"
  objcopy --add-section .version="$scratch/kernel-version" --change-section-vma .version=0x1a000 "$stub" "$scratch/linux"
  clear_timestamp "$scratch/linux"
fi

set -- --add-section .osrel="$scratch/osrel" --change-section-vma .osrel=0x20000 \
  --add-section .cmdline="$scratch/cmdline" --change-section-vma .cmdline=0x30000
[ "$fault" = no-kernel ] || set -- "$@" --add-section .linux="$scratch/linux" --change-section-vma .linux=0x2000000
objcopy "$@" --add-section .initrd="$scratch/initrd" --change-section-vma .initrd=0x3000000 "$stub" "$scratch/uki"
clear_timestamp "$scratch/uki"
cp "$scratch/uki" "$out"
