"""Mountinfo as a busy node has it: thousands of lines of pods, some of them NFS."""

from collections.abc import Sequence

_POD = "/var/lib/kubelet/pods/0c1d8a52-93f4-4c7e-9a4b-{number:012d}"
_LAYERS = ":".join(f"/var/lib/containerd/snapshots/{number}/fs" for number in range(20))
_OTHERS = (
    "{id} 30 0:{device} / " + _POD + "/volumes/kubernetes.io~projected/kube-api-access "
    "rw,relatime shared:{id} - tmpfs tmpfs rw,size=1048576k,inode64",
    "{id} 30 0:{device} / /run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/rootfs "
    "rw,relatime shared:{id} - overlay overlay rw,lowerdir=" + _LAYERS + ",index=off",
    "{id} 24 0:{device} net:[402653{id}] /run/netns/cni-{id} rw shared:{id} - nsfs nsfs rw",
)
_NFS = (
    "{id} 30 0:{device} / " + _POD + "/volumes/kubernetes.io~nfs/models ro,relatime shared:{id} "
    "- nfs4 {source}:/models ro,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,"
    "proto={proto},nconnect=8,timeo=600,retrans=2,sec=sys,clientaddr=10.70.0.20,"
    "local_lock=none,addr={server}"
)


def table(lines: int, servers: Sequence[str]) -> str:
    """Return this many lines, a hard NFS mount of each server evenly spread among them."""
    step = max(1, lines // max(1, len(servers)))
    rows = []
    for number in range(lines):
        fields = {"id": 1000 + number, "device": 100 + number, "number": number}
        place, is_nfs = divmod(number + 1, step)
        if is_nfs == 0 and place <= len(servers):
            server = servers[place - 1]
            is_ipv6 = ":" in server
            rows.append(
                _NFS.format(
                    **fields,
                    server=server,
                    source=f"[{server}]" if is_ipv6 else server,
                    proto="tcp6" if is_ipv6 else "tcp",
                )
            )
        else:
            rows.append(_OTHERS[number % len(_OTHERS)].format(**fields))
    return "\n".join(rows) + "\n"
