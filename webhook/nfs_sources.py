"""
What a PersistentVolume or a StorageClass says of NFS: is it NFS, which servers, which options.

One row a driver. Keys of CSI attributes are compared without case, as most drivers do. Sources:
Kubernetes, PersistentVolumeSpec; csi-driver-nfs, docs/driver-parameters.md; aws-efs-csi-driver,
docs/README.md; azurefile-csi-driver and blob-csi-driver, docs/driver-parameters.md;
gcp-filestore-csi-driver, examples; aws-fsx-openzfs-csi-driver, examples; Oracle, "Provisioning PVCs
on the File Storage Service"; the vendors' examples for the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from webhook import pods
from webhook.decisions import Json

NFS_PORT: Final = 2049
AZURE_BLOB_PORT: Final = 2048
"""Azure Blob speaks NFS 3.0 there: Microsoft, "Network File System (NFS) 3.0 protocol support"."""
_MAX_PORT: Final = 65535
_MAX_LABEL_LENGTH, _MAX_NAME_LENGTH = 63, 253
_EVEREST: Final = "everest.io/share-export-location"
_LEGACY_OPTIONS: Final = "volume.beta.kubernetes.io/mount-options"
"""An annotation that, where it stands, is used instead of `spec.mountOptions`."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    The NFS behind a PersistentVolume or a StorageClass.

    Attributes:
        driver: `nfs` for the in-tree volume, else the CSI driver's name.
        endpoints: its servers as the agent reads them: `host`, `host:port`, `[IPv6]`; () where the
            object does not tell.
        options: the mount options that stand there, each one by itself.
        is_legacy: the options stand in the beta annotation, which hides `mountOptions`.
        takes_nconnect: the service and its mount program can do nconnect.
    """

    driver: str
    endpoints: tuple[str, ...]
    options: tuple[str, ...]
    is_legacy: bool = False
    takes_nconnect: bool = True


@dataclass(frozen=True, slots=True)
class _Fields:
    """A CSI volume's attributes (keys in small letters), its handle and the cluster's region."""

    attributes: Mapping[str, str]
    handle: str
    region: str

    def get(self, *keys: str) -> str:
        return next((found for key in keys if (found := self.attributes.get(key, ""))), "")


_Read = Callable[[_Fields], str]


@dataclass(frozen=True, slots=True)
class Driver:
    """
    How to read one CSI driver; servers are separated by commas, what follows `:/` is a path.

    Attributes:
        where: where the servers stand, for people.
    """

    servers: _Read
    where: str
    is_nfs: Callable[[_Fields], bool] = lambda _: True
    port: int = NFS_PORT
    takes_nconnect: bool = True


def _attribute(*keys: str) -> _Read:
    return lambda fields: fields.get(*keys)


def _says_nfs(fields: _Fields) -> bool:
    return fields.get("protocol", "fstype").lower() == "nfs"


def _efs(fields: _Fields) -> str:
    """Return a mount target's address, else the file system's DNS name, which needs the region."""
    found = fields.get("mounttargetip", "mounttargetipaddress")
    system = (fields.get("filesystemid") or fields.handle).partition(":")[0]
    if found or not (fields.region and system.startswith("fs-")):
        return found
    domain = "amazonaws.com.cn" if fields.region.startswith("cn-") else "amazonaws.com"
    return f"{system}.efs.{fields.region}.{domain}"


def _azure(service: str) -> _Read:
    def read(fields: _Fields) -> str:
        account = fields.get("storageaccount", "storageaccountname")
        handle = fields.handle.split("#")  # resource group, account, share
        account = account or (handle[1] if handle[2:] else "")
        suffix = fields.get("storageendpointsuffix") or "core.windows.net"
        named = f"{account}.{service}.{suffix}" if account else ""
        return fields.get("server") or named

    return read


def _oracle(fields: _Fields) -> str:
    """Return the mount target of `OCID:ADDRESS:/PATH`."""
    return fields.handle.partition(":")[2]


DRIVERS: Mapping[str, Driver] = {
    "nfs.csi.k8s.io": Driver(_attribute("server"), "attribute `server`"),
    "efs.csi.aws.com": Driver(
        _efs,
        "attribute `mounttargetip`, else the name of the file system in the region of a Node",
        lambda fields: not fields.handle.startswith("s3"),
        takes_nconnect=False,
    ),
    "fsx.openzfs.csi.aws.com": Driver(_attribute("dnsname"), "attribute `DNSName`"),
    "filestore.csi.storage.gke.io": Driver(_attribute("ip"), "attribute `ip`"),
    "file.csi.azure.com": Driver(
        _azure("file"), "with `protocol: nfs`: `server`, else the storage account's", _says_nfs
    ),
    "blob.csi.azure.com": Driver(
        _azure("blob"),
        "with `protocol: nfs`: `server`, else the storage account's, port 2048",
        _says_nfs,
        AZURE_BLOB_PORT,
        takes_nconnect=False,
    ),
    "fss.csi.oraclecloud.com": Driver(_oracle, "the volume handle's second part"),
    "nasplugin.csi.alibabacloud.com": Driver(_attribute("server"), "attribute `server`"),
    "com.tencent.cloud.csi.cfs": Driver(_attribute("host"), "attribute `host`"),
    "vpc.file.csi.ibm.io": Driver(_attribute("nfsserverpath"), "attribute `nfsServerPath`"),
    "sfsturbo.csi.everest.io": Driver(_attribute(_EVEREST), f"attribute `{_EVEREST}`"),
    "nas.csi.everest.io": Driver(_attribute(_EVEREST), f"attribute `{_EVEREST}`"),
    "csi-isilon.dellemc.com": Driver(_attribute("azserviceip"), "attribute `AzServiceIP`"),
    "nfs.manila.csi.openstack.org": Driver(lambda _: "", "not in the object: configure them"),
    "csi.trident.netapp.io": Driver(
        lambda _: "",
        "with `protocol: file`; not in the object: configure them",
        lambda fields: fields.get("protocol") == "file",
    ),
}
"""The CSI drivers that are known to speak NFS; DigitalOcean uses the first, or in-tree."""

_OTHER = Driver(
    _attribute("server"),
    "attribute `server`",
    lambda fields: (
        bool(fields.get("server") and fields.get("share"))
        and fields.get("protocol", "fstype").lower() in ("", "nfs", "nfs3", "nfs4")
    ),
)
"""Any other driver: a server and a share, and no word of another protocol."""


def of_volume(volume: Json, region: str = "") -> Source | None:
    """
    Return the NFS behind a PersistentVolume, None where it is something else.

    `region` is the cluster's, for services whose name holds it; "" leaves those servers out.
    """
    spec = pods.spec(volume)
    legacy = pods.annotations(volume).get(_LEGACY_OPTIONS, "")
    options = _options(spec.get("mountOptions"), legacy)
    if server := pods.text(pods.mapping(spec.get("nfs")).get("server")):
        found = endpoints(server, _port_of(options, NFS_PORT))
        return Source("nfs", found, options, bool(legacy), not _is_efs(found))
    csi = pods.mapping(spec.get("csi"))
    fields = _fields(csi.get("volumeAttributes"), pods.text(csi.get("volumeHandle")), region)
    options = (*options, *_options([fields.get("mountoptions")], ""))
    return _csi(pods.text(csi.get("driver")), fields, options, is_legacy=bool(legacy))


def of_class(storage_class: Json, region: str = "") -> Source | None:
    """Return the NFS that a StorageClass makes volumes of, None where it is something else."""
    fields = _fields(storage_class.get("parameters"), "", region)
    options = _options(storage_class.get("mountOptions"), "")
    return _csi(pods.text(storage_class.get("provisioner")), fields, options, is_legacy=False)


def endpoints(servers: str, port: int = NFS_PORT) -> tuple[str, ...]:
    """
    Return the servers of a list with commas, as the agent's endpoints file has them.

    Left out is what names no storage server to a node: the node itself, a cluster's own Service, a
    text that is no host.
    """
    found = (_endpoint(server.strip().partition(":/")[0], port) for server in servers.split(","))
    return tuple(dict.fromkeys(filter(None, found)))


def _csi(name: str, fields: _Fields, options: tuple[str, ...], *, is_legacy: bool) -> Source | None:
    driver = DRIVERS.get(name, _OTHER)
    if not name or not driver.is_nfs(fields):
        return None
    found = endpoints(driver.servers(fields), _port_of(options, driver.port))
    takes_nconnect = driver.takes_nconnect and not _is_efs(found)
    return Source(name, found, options, is_legacy, takes_nconnect)


def _is_efs(found: Iterable[str]) -> bool:
    """Return whether a server is Amazon EFS, by whatever driver it is mounted."""
    return any(".efs." in one and ".amazonaws.com" in one for one in found)


def _fields(attributes: object, handle: str, region: str) -> _Fields:
    lowered = {key.lower(): value for key, value in pods.strings(attributes).items()}
    return _Fields(lowered, handle, region)


def _options(listed: object, legacy: str) -> tuple[str, ...]:
    """Return the options that count, each by itself: an entry of the list may hold several."""
    entries = [legacy] if legacy else pods.texts(listed)
    words = (word.strip() for entry in entries for word in entry.split(","))
    return tuple(word for word in words if word)


def _port_of(options: Iterable[str], default: int) -> int:
    """Return the port that the mount options ask for; the last one counts, as in mount(8)."""
    port = default
    for option in options:
        name, _, value = option.partition("=")
        if name == "port" and value.isascii() and value.isdigit() and 0 < int(value) <= _MAX_PORT:
            port = int(value)
    return port


def _endpoint(server: str, port: int) -> str:
    host = _host(server)
    if not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == NFS_PORT else f"{shown}:{port}"


def _host(server: str) -> str:
    """Return a server's name or address in one spelling, "" where it is none that nodes reach."""
    bare = server.strip().removeprefix("[").removesuffix("]").rstrip(".").lower()
    labels = bare.split(".")
    if ":" in bare or (labels[-1].isascii() and labels[-1].isdigit()):
        return _address(bare)
    is_name = 0 < len(bare) <= _MAX_NAME_LENGTH and all(_is_label(label) for label in labels)
    is_service = "svc" in labels[2:] and labels[-1] in ("svc", "local")
    return bare if is_name and bare != "localhost" and not is_service else ""


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return ""
        address = address.ipv4_mapped or address
    is_one = not (address.is_unspecified or address.is_multicast or address.is_loopback)
    is_broadcast = str(address) == "255.255.255.255"
    return str(address) if is_one and not address.is_link_local and not is_broadcast else ""


def _is_label(label: str) -> bool:
    """Return whether this is a DNS label (RFC 1123 section 2.1), underscores let pass."""
    return (
        0 < len(label) <= _MAX_LABEL_LENGTH
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
    )
