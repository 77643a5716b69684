"""Whether a bench would get into the way of what runs on this node. Pure."""

from collections.abc import Iterable

from agent.nfs import NfsMount

BUSY_BYTES_PER_SECOND = 10_000_000
_PODS = "/pods/"
_VOLUMES = "/volume"  # volumes/ and volume-subpaths/ below the kubelet's folder of a pod


def pods_of(mount: NfsMount) -> tuple[str, ...]:
    """
    Return the UIDs of the pods that a mount is mounted for.

    The kubelet mounts below ``<root>/pods/<uid>/volumes/<plugin>/<name>`` (Kubernetes
    documentation, "Local Files And Paths Used By The Kubelet").
    """
    uids = []
    for path in mount.mount_points:
        _, marker, rest = path.partition(_PODS)
        uid, _, below = rest.partition("/")
        if marker and f"/{below}".startswith(_VOLUMES):
            uids.append(uid)
    return tuple(dict.fromkeys(uids))


def reasons_to_wait(
    server: str,
    mounts: Iterable[NfsMount],
    received_bytes_per_second: float,
    mounts_problem: str = "",
) -> tuple[str, ...]:
    """
    Return why not to measure now, one sentence each.

    Args:
        server: The address of the server to read from, "" for a file on no NFS mount.
        mounts: All NFS mounts of the node.
        received_bytes_per_second: What the storage link receives before anything is read.
        mounts_problem: Why the mounts could not be read, "" where they could.
    """
    found = []
    if mounts_problem:
        found.append(f"whether pods use the server cannot be told ({mounts_problem})")
    shared = [mount for mount in mounts if server and mount.server == server]
    pods = tuple(dict.fromkeys(uid for mount in shared for uid in pods_of(mount)))
    if pods:
        more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        found.append(
            f"pods on this node have files of {server} mounted (pod {pods[0]}{more}) and share "
            "its connections"
        )
    if received_bytes_per_second > BUSY_BYTES_PER_SECOND:
        rate = received_bytes_per_second / 1e6
        found.append(f"the storage link is receiving {rate:.0f} MB/s already")
    return tuple(found)
