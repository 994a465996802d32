# shellcheck shell=bash
# Functions that make and run a real edge node: QEMU without acceleration, OVMF, swtpm, one disk with an ESP, two slots
# and a partition for the agent's state. Needs no root. Sourced after ../../e2e/demo/lib.sh, in a folder beside this file.
machine_tools=$(cd .. && pwd)
kernel=${SALLYPORT_VM_KERNEL:-$work/kernel}
firmware=/usr/share/OVMF
mib=$((1024 * 1024))
esp_at=$mib esp_size=$((112 * mib)) slot_size=$((72 * mib)) state_size=$((96 * mib))
slot_a_at=$((esp_at + esp_size))
slot_b_at=$((slot_a_at + slot_size))
state_at=$((slot_b_at + slot_size))
qemu='' tpm=''
# What a virtual processor without acceleration is spared; it is measured like the rest of the line.
quick='cryptomgr.notests mitigations=off nokaslr tsc=reliable no_timer_check'

# with_libraries DIR PROGRAM...: copies the libraries that the programs load.
with_libraries() {
  local dir=$1 file
  shift
  mkdir -p "$dir/lib64" "$dir/lib/x86_64-linux-gnu"
  cp -L /lib64/ld-linux-x86-64.so.2 "$dir/lib64/"
  for file in $(ldd "$@" | awk '$2 == "=>" && $3 ~ "^/" {print $3}' | sort -u); do
    install -m 755 -D "$(readlink -f "$file")" "$dir/lib/x86_64-linux-gnu/${file##*/}"
  done
}

make_initrd() {
  local dir=$work/initrd
  [ ! -f "$work/initrd.zst" ] || return 0
  mkdir -p "$dir"/{bin,sbin,proc,sys,dev,sysroot,modules,run}
  cp "$(command -v busybox)" "$dir/bin/"
  cp /sbin/veritysetup "$dir/sbin/"
  with_libraries "$dir" /sbin/veritysetup
  cp "$kernel/modules"/* "$dir/modules/"
  cp "$machine_tools/guest/initrd-init" "$dir/init"
  (cd "$dir" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) | zstd -q -9 -o "$work/initrd.zst"
}

# make_system VERSION [CONFIG-LINE...]: image-VERSION.img (EROFS with its hash tree) and uki-VERSION.efi. More words for
# the command line in $words.
make_system() {
  local version=$1 dir=$work/root-$1 image=$work/image-$1.img blocks root_hash
  shift
  mkdir -p "$dir"/{bin,sbin,usr/bin,etc,proc,sys,dev,run,tmp,state,efi}
  cp "$(command -v busybox)" "$dir/bin/"
  busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$dir/bin/$name"; done
  strip -o "$dir/usr/bin/sallyport-agent" "$SALLYPORT_BIN/sallyport-agent"
  cp "$(command -v efibootmgr)" "$dir/usr/bin/"
  with_libraries "$dir" "$SALLYPORT_BIN/sallyport-agent" /usr/bin/efibootmgr
  cp -L /lib/x86_64-linux-gnu/libtss2-tcti-device.so.0 "$dir/lib/x86_64-linux-gnu/"
  strip --strip-unneeded "$dir"/lib/x86_64-linux-gnu/*
  install -m 755 "$machine_tools/guest/init" "$dir/sbin/init"
  install -m 755 "$machine_tools/guest/factory-${boot_loader:-efi}" "$dir/etc/factory"
  echo "$version" > "$dir/etc/version"
  # shellcheck disable=SC2016  # the probe's own variable
  printf '#!/bin/sh\n[ "$SALLYPORT_VERSION" != 5.0.0 ] || { echo no picture; exit 1; }\n' > "$dir/etc/probe"
  chmod +x "$dir/etc/probe"
  printf '%s\n' "$(agent_config)" "$@" > "$dir/etc/agent.yaml"
  rm -f "$image"
  quiet mkfs.erofs -T0 -U 00000000-0000-4000-8000-000000000001 --all-root "$image" "$dir"
  blocks=$(( $(stat -c %s "$image") / 4096 ))
  root_hash=$(veritysetup format --data-blocks=$blocks --hash-offset=$((blocks * 4096)) --salt="$(printf %064d 1)" --uuid=00000000-0000-4000-8000-000000000002 "$image" "$image" | awk '/Root hash/ {print $3}')
  quiet sh "$node_tools/make_uki.sh" --version "$version" --kernel "$kernel/vmlinuz" --initrd "$work/initrd.zst" --out "$work/uki-$version.efi" \
    --cmdline "console=ttyS0 quiet panic=1 $quick roothash=$root_hash vm.hash-offset=$((blocks * 4096))${words:+ $words}"
  rm -r "$dir"
}

agent_config() {
  cat << YAML
sallyport: agent/v1
hardware: virtual-x86_64
state: /state/agent
tcti: device:/dev/tpmrm0
enrolment_file: /state/enrolment.json
advertise: 10.0.2.15:15008
backoff_max: 3s
update:
  slot_a: /dev/vda2
  slot_b: /dev/vda3
  esp: /efi
  health: {units: [], timeout: ${health_timeout:-15m}, probes: [{name: picture, command: [/etc/probe]}]}
  previous_log: /state/agent.log
YAML
  case ${boot_loader:-efi} in
    efi) echo '  efivars: /sys/firmware/efi/efivars' ;;
    systemd-boot) printf '  boot: systemd-boot\n  efivars: /sys/firmware/efi/efivars\n' ;;
    grub) printf '  boot: grub\n  grubenv: /efi/grub/grubenv\n' ;;
  esac
}

# put_at IMAGE OFFSET FILE
put_at() { dd if="$3" of="$1" bs=1M oflag=seek_bytes seek="$2" conv=notrunc,sparse status=none; }

# make_disk VERSION STATE-FOLDER: disk.img with the system in slot A.
make_disk() {
  local disk=$work/disk.img part=$work/part.img
  rm -f "$disk"
  truncate -s $((state_at + state_size + mib)) "$disk"
  sfdisk --quiet "$disk" << GPT
label: gpt
label-id: 00000000-0000-4000-8000-000000000010
first-lba: 2048
start=$((esp_at / 512)), size=$((esp_size / 512)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=00000000-0000-4000-8000-000000000011, name=esp
start=$((slot_a_at / 512)), size=$((slot_size / 512)), type=L, uuid=00000000-0000-4000-8000-000000000012, name=slot-a
start=$((slot_b_at / 512)), size=$((slot_size / 512)), type=L, uuid=00000000-0000-4000-8000-000000000013, name=slot-b
start=$((state_at / 512)), size=$((state_size / 512)), type=L, uuid=00000000-0000-4000-8000-000000000014, name=state
GPT
  truncate -s "$esp_size" "$part"
  quiet mkfs.vfat -F 32 -n ESP "$part"
  mmd -i "$part" ::/EFI ::/EFI/BOOT ::/EFI/sallyport
  "fill_esp_${boot_loader:-efi}" "$part" "$work/uki-$1.efi"
  put_at "$disk" "$esp_at" "$part"
  rm "$part"
  put_at "$disk" "$slot_a_at" "$work/image-$1.img"
  truncate -s "$state_size" "$part"
  quiet mke2fs -q -t ext4 -d "$2" "$part"
  put_at "$disk" "$state_at" "$part"
  rm "$part"
  cp "$firmware/OVMF_VARS_4M.fd" "$work/vars.fd"
}
# The firmware starts BOOTX64.EFI until the factory has made boot entries.
fill_esp_efi() {
  mcopy -i "$1" "$2" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$1" "$2" ::/EFI/sallyport/a.efi
}
fill_esp_systemd-boot() {
  mmd -i "$1" ::/EFI/Linux ::/loader
  mcopy -i "$1" /usr/lib/systemd/boot/efi/systemd-bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$1" "$2" ::/EFI/Linux/sallyport-a.efi
  echo 'timeout 0' | mcopy -i "$1" - ::/loader/loader.conf
}
# The script of docs/updates.md, as it stands there.
fill_esp_grub() {
  local env=$work/grubenv
  mmd -i "$1" ::/grub
  grub-mkimage -O x86_64-efi -p /grub -o "$work/grub.efi" part_gpt fat chain loadenv test normal echo
  mcopy -i "$1" "$work/grub.efi" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$1" "$2" ::/EFI/sallyport/a.efi
  sed -n '/^load_env$/,/^```$/p' "$machine_tools/../../docs/updates.md" | sed '$d' | mcopy -i "$1" - ::/grub/grub.cfg
  grub-editenv "$env" create
  grub-editenv "$env" set 'ORDER=A B' A_OK=1 A_TRY=0 B_OK=0 B_TRY=0
  mcopy -i "$1" "$env" ::/grub/grubenv
}
# from_state FILE: prints a file of the state partition of a machine that is off.
from_state() { debugfs -R "cat $1" "$work/disk.img?offset=$state_at" 2> /dev/null; }

# power_on: starts the machine; what it prints goes to serial.log, behind what is there.
power_on() {
  power_off
  # Both end with this shell, however it ends.
  setpriv --pdeathsig KILL swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --ctrl "type=unixio,path=$work/tpm.sock" --flags not-need-init --terminate > "$work/swtpm.log" 2>&1 &
  tpm=$!
  wait_for 10 "the TPM" test -S "$work/tpm.sock"
  setpriv --pdeathsig KILL qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 1 -m 512 -nodefaults -nographic -no-user-config \
    -drive "if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.fd" \
    -drive "if=pflash,format=raw,unit=1,file=$work/vars.fd" \
    -drive "if=virtio,format=raw,file=$work/disk.img" \
    -chardev "socket,id=tpm,path=$work/tpm.sock" -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0 \
    -netdev user,id=net0 -device virtio-net-pci,netdev=net0,romfile= \
    -chardev "file,id=serial,path=$work/serial.log,append=on" -serial chardev:serial > "$work/qemu.log" 2>&1 &
  qemu=$!
}
# power_off: the power goes away, whatever the machine is doing.
power_off() {
  local pid
  for pid in $qemu $tpm; do
    kill -9 "$pid" 2> /dev/null || continue
    wait "$pid" 2> /dev/null || true
  done
  qemu='' tpm=''
  rm -f "$work/tpm.sock"
}
roll_out() {
  quiet sallyport rollout create "$1" --release "edge-os/$2" --canary edge-1
  quiet sallyport rollout approve "$1"
}
device_of() { sallyport rollout status "$1" --json | jq -r '.devices[0]'; }
update_is() { [ "$(device_of "$1" | jq -r .state)" = "$2" ]; }
is_off() { ! kill -0 "$qemu" 2> /dev/null; }
# printed COUNT TEXT: the machine has printed it so often.
printed() { [ "$(grep -acF -- "$2" "$work/serial.log")" -ge "$1" ]; }
machine_cleanup() {
  local status=$?
  set +e
  power_off
  (exit "$status")
  cleanup
}
