#!/bin/sh
# mmdebstrap's customize hook: put a kernel's modules into the root, and lay its image, the modules'
# order and busybox aside for the initramfs.
#
#   customize.sh ROOT META-PACKAGE ASIDE
set -eu
root=$1 package=$2 aside=$3

# the package itself wants an initramfs generator and a boot loader: it is unpacked, not installed
chroot "$root" sh -eus "$package" <<'INSIDE'
mkdir /kernel
cd /kernel
image=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p')
apt-get download "$image"
dpkg-deb --extract ./*.deb .
mv lib/modules /usr/lib/modules
# xz costs seconds of an emulated boot
find /usr/lib/modules -name '*.ko.xz' -exec xz --decompress {} +
depmod "$(ls /usr/lib/modules)"
INSIDE

mkdir -p "$aside"
mv "$root"/kernel/boot/vmlinuz-* "$aside/vmlinuz"
cp "$root/bin/busybox" "$aside/busybox"
rm -rf "$root/kernel"
chroot "$root" dpkg-query --show >"$aside/packages"
