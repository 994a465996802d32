#!/bin/sh
# Builds Debian's U-Boot for QEMU's virtual ARM64 board with what docs/updates.md asks for: a boot count, and a redundant
# environment, here on an SD card. Debian's own build has neither. Needs gcc-aarch64-linux-gnu, bison, flex, dpkg-dev.
#   build.sh OUT        makes OUT/u-boot.bin; some minutes
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ ! -f "$out/u-boot.bin" ] || exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"

# Sources are fetched with lists of our own: the machine's need not name them.
mkdir -p lists/partial sources
printf 'Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' > sources/u-boot.sources
apt_with_sources() { apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/sources" -o Dir::State::lists="$scratch/lists" "$@"; }
apt_with_sources update
apt_with_sources source --download-only u-boot
tar xf u-boot_*.orig.tar.xz
cd u-boot-*/
cat > fragment << 'CONFIG'
CONFIG_BOOTCOUNT_LIMIT=y
CONFIG_BOOTCOUNT_ENV=y
CONFIG_SYS_REDUNDAND_ENVIRONMENT=y
CONFIG_ENV_IS_IN_FLASH=n
CONFIG_ENV_IS_IN_MMC=y
CONFIG_ENV_SIZE=0x4000
CONFIG_ENV_OFFSET=0x100000
CONFIG_ENV_OFFSET_REDUND=0x140000
CONFIG_SYS_MMC_ENV_DEV=0
CONFIG_MMC=y
CONFIG_DM_MMC=y
CONFIG_CMD_MMC=y
CONFIG_MMC_PCI=y
CONFIG_MMC_SDHCI=y
CONFIG_MMC_SDHCI_SDMA=y
CONFIG_BOOTDELAY=0
CONFIG
export CROSS_COMPILE=aarch64-linux-gnu-
make -s qemu_arm64_defconfig
ARCH=arm scripts/kconfig/merge_config.sh -m .config fragment > merge.log
make -s olddefconfig
# The card is behind PCI, which must be there before the environment is read.
make -s -j2 KCPPFLAGS=-DCONFIG_SYS_EARLY_PCI_INIT u-boot.bin > build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
cp u-boot.bin "$out/"
