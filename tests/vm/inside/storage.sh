#!/bin/sh
# The guest's storage network and NFS server:
#
#   storage.sh make | reset | clear | start | stop | hole MTU | unhole
#
# The client is the guest's first network namespace with the link stor0; the kernel's server is in the
# namespace srv. Both carry 10.77.0.0/24 and fd77::/64; the exports are in memory.
set -eu
in_server="nsenter --net=/run/netns/srv"

make() {
  ip netns add srv
  ip link add stor0 type veth peer name stor0 netns srv
  ip address add 10.77.0.2/24 dev stor0
  ip address add fd77::2/64 dev stor0 nodad
  ip link set stor0 up
  ip -n srv address add 10.77.0.1/24 dev stor0
  ip -n srv address add fd77::1/64 dev stor0 nodad
  ip -n srv link set stor0 up
  ip -n srv link set lo up
  mkdir -p /models /data
  mount -t tmpfs -o size=512m models /models
  mount -t tmpfs -o size=256m data /data
  printf '%s *(rw,no_root_squash,no_subtree_check,fsid=%s)\n' /models 1 /data 2 >/etc/exports
  $in_server mount -t nfsd nfsd /proc/fs/nfsd
  $in_server rpcbind -w
  $in_server exportfs -ra
  $in_server rpc.mountd
  # it remembers the clients: a server that has none starts without a grace period
  mkdir -p /run/rpc_pipefs
  $in_server mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
  $in_server nfsdcld --pipefsdir=/run/rpc_pipefs
  start
}

start() {
  $in_server rpc.nfsd --grace-time 10 --lease-time 10 8
}

stop() {
  $in_server rpc.nfsd 0
}

# packets above this MTU are lost at both ends; each is sent by itself, not as part of a larger one
hole() {
  for of in "" "-n srv"; do
    ip $of link set stor0 gso_max_segs 1
    tc $of qdisc add dev stor0 clsact
    tc $of filter add dev stor0 ingress matchall \
      action police rate 100gbit burst 100mb mtu $(($1 + 14)) conform-exceed drop/ok
  done
}

unhole() {
  for of in "" "-n srv"; do
    ip $of link set stor0 gso_max_segs 65535
    tc $of qdisc delete dev stor0 clsact 2>/dev/null || true
  done
}

# both ends as a fresh node has them; the server answers
clear() {
  unhole
  tc qdisc delete dev stor0 root 2>/dev/null || true
  tc -n srv qdisc delete dev stor0 root 2>/dev/null || true
  ip link set stor0 up mtu 1500
  ip -n srv link set stor0 up mtu 1500
  # a link that was down has lost its IPv6 address
  ip address replace fd77::2/64 dev stor0 nodad
  ip -n srv address replace fd77::1/64 dev stor0 nodad
  if [ "$(cat /proc/fs/nfsd/threads)" = 0 ]; then start; fi
}

# clear, and no mount, file, journal or tuned value of an earlier test
reset() {
  clear
  awk '$3 ~ /^nfs4?$/ { print $2 }' /proc/mounts | tac | while read -r folder; do
    umount --force --lazy "$(printf '%b' "$folder")"
  done
  find /models /data -mindepth 1 -delete
  rm -rf /run/tunegate
  if [ ! -e /run/sysctls ]; then
    sysctl net.core.rmem_max net.core.wmem_max net.ipv4.tcp_rmem net.ipv4.tcp_wmem \
      net.ipv4.tcp_mtu_probing net.ipv4.tcp_window_scaling >/run/sysctls
  fi
  sysctl --quiet --load=/run/sysctls
}

"$@"
