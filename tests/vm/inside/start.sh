#!/bin/sh
# The guest's process 1: mount what a node has, and answer the host's commands until it goes away.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONPATH=/code
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/jobs /run/netns
hostname guest
ip link set lo up
# what systemd sets on a node (systemd PR 13141)
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
cd /code || exit 1
python3 -m tests.vm.inside.serve
echo "the command server ended with $?" >/dev/console
echo o >/proc/sysrq-trigger
while :; do sleep 60; done
