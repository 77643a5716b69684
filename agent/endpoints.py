"""Which storage servers there are: from the configuration, a file that may change, the mounts."""

from collections.abc import Container, Iterable

from agent.nfs import NfsMount, is_elsewhere
from agent.ports import Resolution, Resolver
from agent.readers import endpoint
from agent.state import Address, Endpoint, Finding, Reason, Severity
from common.names import STORAGE_ENDPOINTS_KEY
from common.record import dataclass

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Known:
    """The endpoints with their addresses, and what was wrong with the others."""

    endpoints: tuple[Endpoint, ...]
    findings: tuple[Finding, ...]

    @property
    def is_incomplete(self) -> bool:
        """Return whether a server may be missing: a name without an answer, a list not there."""
        reasons = (Reason.ENDPOINT_UNRESOLVED, Reason.ENDPOINTS_FILE_MISSING)
        return any(item.reason in reasons for item in self.findings)


@dataclass(frozen=True, slots=True)
class Listed:
    """What an endpoints file says: (host, port) pairs, and a sentence for each bad line."""

    hosts: tuple[tuple[str, int], ...]
    problems: tuple[str, ...]
    is_missing: bool = False


def parse_file(content: str) -> Listed:
    """Parse one endpoint a line; ``#`` begins a comment; bad lines are named and passed over."""
    hosts: list[tuple[str, int]] = []
    problems: list[str] = []
    for number, line in enumerate(content.splitlines(), 1):
        item = line.partition("#")[0].strip()
        if not item:
            continue
        try:
            hosts.append(endpoint(item))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    return Listed(tuple(dict.fromkeys(hosts)), tuple(problems))


def read_file(path: str) -> Listed:
    """Read an endpoints file; one that is not there (yet) lists nothing and says so."""
    if not path:
        return Listed((), ())
    try:
        with open(path, encoding="utf-8") as file:
            return parse_file(file.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return Listed((), (), is_missing=True)
    except (OSError, UnicodeDecodeError) as error:
        return Listed((), (str(error),))


def read_config_map(raw: object) -> Listed:
    """Return what the ConfigMap behind the file lists; what is none of that shape lists nothing."""
    data = raw.get("data") if isinstance(raw, dict) else None
    content = data.get(STORAGE_ENDPOINTS_KEY) if isinstance(data, dict) else None
    if not isinstance(content, str):
        return Listed((), (), is_missing=True)
    return parse_file(content)


def from_mounts(
    mounts: Iterable[NfsMount], addresses: Container[Address] = ()
) -> tuple[Endpoint, ...]:
    """
    Return the servers of the NFS mounts whose address the kernel shows.

    Left out is what a pod's namespace mounted: from the node's it may not even be reachable.
    ``addresses`` are the node's own.
    """
    return tuple(
        Endpoint(mount.server, mount.server, mount.port, f"mount {mount.mount_point}")
        for mount in mounts
        if mount.server and not is_elsewhere(mount, addresses)
    )


def gather(
    configured: Iterable[tuple[str, int]], listed: Listed, path: str, resolver: Resolver
) -> Known:
    """Resolve configured and listed hosts; an address stands once, from its first origin."""
    findings = [_bad_line(path, problem) for problem in listed.problems]
    found: dict[tuple[str, int], Endpoint] = {}
    origins = [(pair, "configuration") for pair in configured]
    origins += [(pair, "endpoints file") for pair in listed.hosts]
    for (host, port), origin in origins:
        resolution = resolver.resolve(host)
        if resolution.problem:
            findings.append(_unresolved(resolution))
        for address in resolution.addresses:
            found.setdefault((address, port), Endpoint(host, address, port, origin))
    return Known(tuple(found.values()), tuple(findings))


def awaiting(known: Known, path: str) -> Known:
    """Return what it means that the only list of servers is not there: one is to come."""
    if known.endpoints:
        return known
    message = (
        f"{path} is not there yet, and no storage server is known otherwise; on a new installation"
        " the webhook writes the list within seconds, and the kubelet brings it within two minutes"
    )
    reason = Reason.ENDPOINTS_FILE_MISSING
    finding = Finding("endpoints", Severity.PENDING, reason, path, message)
    return Known((), (*known.findings, finding))


def merge(known: Known, mounted: Iterable[Endpoint]) -> Known:
    """Return the endpoints with those of the mounts that were not known before."""
    found = {(item.address, item.port): item for item in known.endpoints}
    for item in mounted:
        found.setdefault((item.address, item.port), item)
    return Known(tuple(found.values()), known.findings)


def _bad_line(path: str, problem: str) -> Finding:
    message = f"{path}: {problem}; the other lines are used"
    return Finding("endpoints", Severity.NOTE, Reason.ENDPOINTS_FILE_INVALID, path, message)


def _unresolved(resolution: Resolution) -> Finding:
    """Return what a name without an answer means: nothing much while an older answer stands."""
    severity = Severity.NOTE if resolution.addresses else Severity.PENDING
    reason = Reason.ENDPOINT_UNRESOLVED
    return Finding("endpoints", severity, reason, resolution.host, resolution.problem)


class RememberingResolver:
    """A resolver that goes on using a name's last addresses while the DNS does not answer."""

    def __init__(self, resolver: Resolver) -> None:
        """Ask this resolver; remember nothing yet."""
        self._resolver = resolver
        self._last: dict[str, tuple[Address, ...]] = {}

    def resolve(self, host: str) -> Resolution:
        """Return the name's addresses now, else the last ones with the problem beside them."""
        answer = self._resolver.resolve(host)
        if answer.addresses:
            self._last[host] = answer.addresses
            return answer
        return Resolution(host, self._last.get(host, ()), answer.problem)
