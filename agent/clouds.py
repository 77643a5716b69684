"""
What each cloud's network carries at most, and how to tell which cloud a node is in. Pure.

A link's own maximum (IFLA_MAX_MTU) is what its driver takes, not what the cloud's network passes;
above the cloud's ceiling packets are lost without a word.

Sources: Google Cloud "Maximum transmission unit" (VPC 1300 to 8896, default 1460); Amazon EC2
"Network maximum transmission unit" (9001; 8500 over inter-region peering and transit gateways,
1500 through an internet gateway or VPN); Microsoft "Configure MTU for virtual machines in Azure"
(Mellanox 3900, MANA 9000); the DMI marks are those of cloud-init's ds-identify.
"""

from collections.abc import Collection, Mapping

from common.record import dataclass, field


@dataclass(frozen=True, slots=True)
class Cloud:
    """
    One cloud: its name, the largest MTU that its private network carries, and a word about it.

    ``ceiling_bytes`` is None where the cloud names none. ``by_driver`` lowers it for a link of
    that driver (``/sys/class/net/LINK/device/driver``). ``advice`` is a whole sentence.
    """

    name: str
    ceiling_bytes: int | None
    advice: str
    by_driver: Mapping[str, int] = field(default_factory=dict)

    def ceiling_for(self, drivers: Collection[str]) -> int | None:
        """Return the ceiling of a link with these drivers (its own and its members'), or None."""
        named = [self.by_driver[driver] for driver in drivers if driver in self.by_driver]
        return min(named) if named else self.ceiling_bytes


AWS = Cloud(
    "aws",
    9001,
    "AWS carries 9001 inside a VPC, 8500 over inter-region peering and transit gateways, and 1500 "
    "through an internet gateway or VPN: keep the storage server in the same VPC.",
)
AZURE = Cloud(
    "azure",
    9000,
    "Azure carries more than 1500 only inside a virtual network: 3900 on Mellanox NICs, 9000 on "
    "MANA ones.",
    {"mlx4_core": 3900, "mlx5_core": 3900, "mana": 9000},
)
GCP = Cloud(
    "gcp",
    8896,
    "Google Cloud carries the MTU of the VPC network: 1460 by default, 8896 at most. Raise it "
    "there first (gcloud compute networks update NETWORK --mtu=8896), then restart the VMs.",
)
DIGITALOCEAN = Cloud(
    "digitalocean",
    None,
    "DigitalOcean names no ceiling: the private interface (eth1) takes 9000 where the storage "
    "server's side does, which only the path proof shows.",
)
ORACLE = Cloud("oracle", 9000, "Oracle Cloud carries 9000 inside a VCN, 1500 through its gateways.")
OTHERS = tuple(
    Cloud(name, None, f"No ceiling is known for {title}: the path proof decides.")
    for name, title in (
        ("alibaba", "Alibaba Cloud"),
        ("hetzner", "Hetzner Cloud"),
        ("ibm", "IBM Cloud"),
        ("openstack", "OpenStack"),
    )
)
CLOUDS: Mapping[str, Cloud] = {
    cloud.name: cloud for cloud in (AWS, AZURE, GCP, DIGITALOCEAN, ORACLE, *OTHERS)
}
"""Every cloud that is known, by name."""

_SCHEMES = {
    "aws": "aws",
    "azure": "azure",
    "gce": "gcp",
    "digitalocean": "digitalocean",
    "oci": "oracle",
    "hcloud": "hetzner",
    "ibm": "ibm",
    "openstack": "openstack",
    "alicloud": "alibaba",
}
_ORACLE_ID = "ocid1.instance."

_DMI_MARKS = (
    ("sys_vendor", "amazon ec2", "aws"),
    ("board_asset_tag", "i-", "aws"),
    ("product_name", "google compute engine", "gcp"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"),
    ("sys_vendor", "digitalocean", "digitalocean"),
    ("chassis_asset_tag", "oraclecloud.com", "oracle"),
    ("sys_vendor", "alibaba cloud", "alibaba"),
    ("sys_vendor", "hetzner", "hetzner"),
    ("product_name", "openstack", "openstack"),
)

DMI_FILES = tuple(dict.fromkeys(name for name, _, _ in _DMI_MARKS))
"""The files below ``/sys/class/dmi/id`` whose text ``detect_from_dmi`` looks at."""


def detect_from_provider_id(provider_id: str) -> Cloud | None:
    """
    Return the cloud of a Node's ``spec.providerID``, or None.

    The ID is ``<cloud>://<cloud's own>`` (Kubernetes API, NodeSpec), e.g.
    ``aws:///eu-central-1a/i-0abc`` or ``gce://project/zone/name``; Oracle's has no scheme.
    """
    if provider_id.startswith(_ORACLE_ID):
        return ORACLE
    scheme, separator, _ = provider_id.partition("://")
    name = _SCHEMES.get(scheme) if separator else None
    return CLOUDS[name] if name else None


def detect_from_dmi(dmi: Mapping[str, str]) -> Cloud | None:
    """
    Return the cloud that the machine's DMI names, or None.

    Args:
        dmi: Text by file name below ``/sys/class/dmi/id``; a file that is absent may be missing.
    """
    for name, mark, cloud in _DMI_MARKS:
        if dmi.get(name, "").strip().lower().startswith(mark):
            return CLOUDS[cloud]
    return None
