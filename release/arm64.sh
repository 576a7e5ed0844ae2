#!/usr/bin/env bash
# arm64.sh DIST: the built wheel and the tests of the sdist in an arm64 userland of Debian 12 under qemu-user.
# As root, with the packages qemu-user-static and debootstrap. Nothing of the host but the folder WORK is written.
set -euo pipefail
dist=$(realpath "$1")
here=$(realpath "$(dirname "$0")/..")
work=${WORK:-$(mktemp -d)}
root=$work/root
site=$root/usr/local/lib/python3.11/dist-packages

cleanup() { umount "$root/proc/cpuinfo" "$root/proc" "$root/dev/pts" "$root/dev" 2>/dev/null || true; }
trap cleanup EXIT

# The kernel starts arm64 programs with qemu. F: the interpreter is opened now, so that it works inside the chroot.
formats=/proc/sys/fs/binfmt_misc
test -e $formats/register || mount -t binfmt_misc none $formats
test -e $formats/qemu-aarch64 || printf '%s' ':qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' > $formats/register

if ! test -e "$root/usr/bin/python3"; then
	debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm "$root"
	for package in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
fi
mkdir -p "$site" "$root/t" "$root/sys/devices/system/cpu"
platforms=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64)
python3 -m pip install -q --target "$site" "${platforms[@]}" --platform manylinux2014_aarch64 --python-version 3.11 \
	--only-binary=:all: --upgrade -c "$here/constraints.txt" "$dist"/*.whl pytest hypothesis
tar xzf "$dist"/*.tar.gz -C "$root/t" --strip-components=1
rm -rf "$root"/t/{runtime,training,export}
printf '#!/usr/bin/python3\nfrom aaptvae.cli import main\nmain()\n' > "$root/usr/bin/aaptvae"
chmod +x "$root/usr/bin/aaptvae"

# onnxruntime reads both; those of an x86-64 host make it print warnings, or end it with a segmentation fault.
echo 0-1 | tee "$root/sys/devices/system/cpu/possible" > "$root/sys/devices/system/cpu/present"
printf 'processor\t: %s\nFeatures\t: fp asimd aes crc32 atomics fphp asimdhp asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n' 0 1 > "$work/cpuinfo"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
mount --bind "$work/cpuinfo" "$root/proc/cpuinfo"

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 ORT_DISABLE_TELEMETRY=1 "$@"; }
inside python3 -c 'import platform; assert platform.machine() == "aarch64"'
inside aaptvae verify /t/artifacts/digits
inside sh -c 'cd /t/tests && python3 -m pytest -q -c ../pyproject.toml --rootdir .. -p no:cacheprovider runtime'
