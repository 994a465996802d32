#!/bin/sh
# Makes the image pair that docs/updates.md measures: Debian 12 as released (old.erofs) and the same machine after one
# upgrade from Debian's security and updates suites without a new kernel (new.erofs). Uncompressed EROFS, about 400 MB each,
# without manuals and translations.
#   tests/bench/image_pair.sh DIRECTORY [ARCHITECTURE]
# Packages of another architecture than this machine's (arm64) are unpacked, their scripts not run: nothing is emulated.
# Needs root, debootstrap and erofs-utils; packages come from the mirrors that this machine's apt uses.
set -eu
case ${1-} in '' | -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
native=$(dpkg --print-architecture)
architecture=${2-$native}
mkdir -p "$1"
cd "$1"

# mirror prints where apt takes a suite from.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" | sed -n '1s,/*$,,p'
}
main=$(mirror bookworm)
updates=$(mirror bookworm-updates)
security=$(mirror bookworm-security)
for uri in "$main" "$updates" "$security"; do
  [ -n "$uri" ] || { echo "image_pair: apt does not know bookworm, bookworm-updates and bookworm-security" >&2; exit 2; }
done

packages=systemd,systemd-sysv,dbus,udev,openssh-server,openssl,ca-certificates,curl,iproute2,nftables,libgrpc++1.51,tpm2-tools,python3
packages=$packages,perl,bind9-host,bind9-dnsutils,libexpat1,sqlite3,libcurl4,gnupg,rsync,linux-image-cloud-$architecture,initramfs-tools,vim-tiny,sudo

# seal takes out what differs between any two runs and writes the image.
seal() {
  umount "$1/proc" 2>/dev/null || true
  rm -rf "$1"/boot/initrd* "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/* "$1"/tmp/* "$1"/etc/ssh/ssh_host_* \
    "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id "$1"/usr/sbin/policy-rc.d "${1:?}"/dev/* "$1"/etc/resolv.conf \
    "$1"/usr/share/doc "$1"/usr/share/info "$1"/usr/share/lintian "$1"/usr/share/locale "$1"/usr/share/man
  rm -f "$2"
  mkfs.erofs -T0 -U 00000000-0000-4000-8000-000000000000 "$2" "$1" >/dev/null
}

# run_packages installs and upgrades as a machine does.
run_packages() {
  rm -rf tree base
  debootstrap --variant=minbase --include="$packages" bookworm base "$main" >debootstrap.log 2>&1 ||
    { tail -5 debootstrap.log >&2; exit 1; }
  cp -a base tree
  seal tree old.erofs
  rm -rf tree

  cp -a base tree
  printf 'deb %s bookworm main\ndeb %s bookworm-updates main\ndeb %s bookworm-security main\n' \
    "$main" "$updates" "$security" >tree/etc/apt/sources.list
  printf '#!/bin/sh\nexit 101\n' >tree/usr/sbin/policy-rc.d
  chmod 755 tree/usr/sbin/policy-rc.d
  cp /etc/resolv.conf tree/etc/resolv.conf
  for setting in /etc/apt/apt.conf.d/*proxy*; do [ ! -e "$setting" ] || cp "$setting" tree/etc/apt/apt.conf.d/; done
  mount -t proc proc tree/proc
  trap 'umount "$PWD/tree/proc" 2>/dev/null || true' EXIT
  export DEBIAN_FRONTEND=noninteractive
  chroot tree sh -c "apt-mark hold linux-image-cloud-$architecture && apt-get update -qq && apt-get -y -qq upgrade" \
    >upgrade.log 2>&1 || { tail -5 upgrade.log >&2; exit 1; }
  cp base/etc/apt/sources.list tree/etc/apt/sources.list
  rm -f tree/etc/apt/apt.conf.d/*proxy*
  seal tree new.erofs
  rm -rf tree base
}

# unpack_packages IMAGE SUITE=URI...: what apt would install on an empty machine of that architecture, the kernel from the
# first suite.
unpack_packages() {
  image=$1
  shift
  rm -rf tree apt
  mkdir -p apt/lists/partial apt/preferences apt/archives/partial tree/usr/bin tree/usr/sbin tree/usr/lib
  touch apt/status
  for suite in "$@"; do
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "${suite#*=}" "${suite%%=*}"
  done >apt/sources.list
  printf 'Package: linux-*\nPin: release n=%s\nPin-Priority: 1001\n' "${1%%=*}" >apt/preferences/kernel
  cat >apt/apt.conf <<SETTINGS
APT::Architecture "$architecture";
#clear APT::Architectures;
APT::Architectures { "$architecture"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State::lists "$PWD/apt/lists";
Dir::State::status "$PWD/apt/status";
Dir::Cache "$PWD/apt";
Dir::Cache::archives "$PWD/apt/archives";
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "$PWD/apt/preferences";
SETTINGS
  export APT_CONFIG="$PWD/apt/apt.conf"
  apt-get update -qq >apt.log 2>&1 || { tail -5 apt.log >&2; exit 1; }
  required=$(apt-cache dumpavail | awk '/^Package:/ { name = $2 } /^Priority: required/ { print name }' | sort -u)
  # shellcheck disable=SC2046,SC2086
  apt-get install -y -qq --download-only apt $required $(echo "$packages" | tr , ' ') >>apt.log 2>&1 ||
    { tail -5 apt.log >&2; exit 1; }
  unset APT_CONFIG
  for name in bin sbin lib; do ln -s "usr/$name" "tree/$name"; done
  for package in apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C tree -xp --keep-directory-symlink
  done
  seal tree "$image"
  rm -rf tree apt
}

if [ "$architecture" = "$native" ]; then
  run_packages
else
  unpack_packages old.erofs bookworm="$main"
  unpack_packages new.erofs bookworm="$main" bookworm-updates="$updates" bookworm-security="$security"
fi
ls -l old.erofs new.erofs
