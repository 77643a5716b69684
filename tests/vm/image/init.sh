#!/bin/busybox sh
# The initramfs' init: load the disks' driver, mount the root, unpack this run's code, go there.
/bin/busybox mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root
/bin/busybox mount -t tmpfs code /root/code
/bin/busybox tar -xf /dev/vdb -C /root/code
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /bin/sh /code/tests/vm/inside/start.sh
