"""What PersistentVolumes and StorageClasses say of NFS, driver by driver."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.endpoints import parse_file
from tests.unit.webhook.volumes import csi_volume, nfs_volume, storage_class
from webhook import nfs_sources
from webhook.decisions import Json
from webhook.nfs_sources import of_class, of_volume

REGION = "eu-west-1"
_FSX = "fs-0f1.fsx.us-east-1.amazonaws.com"
_OCI = "ocid1.filesystem.oc1.iad.aaa"
_EVEREST = {"everest.io/share-export-location": "a.sfsturbo.internal:/"}
VOLUMES: list[tuple[str, Json, tuple[str, ...] | None]] = [
    ("in-tree", nfs_volume("10.0.0.9"), ("10.0.0.9",)),
    ("in-tree IPv6", nfs_volume("fd00::9"), ("[fd00::9]",)),
    ("in-tree port", nfs_volume("nas", ["port=20490,hard"]), ("nas:20490",)),
    ("IPv6 and port", nfs_volume("[FD00::9]", ["port=1"]), ("[fd00::9]:1",)),
    ("trailing dot", nfs_volume("NAS.example.com."), ("nas.example.com",)),
    ("loopback", nfs_volume("127.0.0.1"), ()),
    ("localhost", nfs_volume("localhost"), ()),
    ("a Service", nfs_volume("nfs.default.svc.cluster.local"), ()),
    ("no host", nfs_volume("${server}"), ()),
    ("csi", csi_volume("nfs.csi.k8s.io", {"server": "nas", "share": "/m"}), ("nas",)),
    ("csi, other case", csi_volume("nfs.csi.k8s.io", {"Server": "nas"}), ("nas",)),
    ("EFS", csi_volume("efs.csi.aws.com", {}, "fs-1"), (f"fs-1.efs.{REGION}.amazonaws.com",)),
    (
        "EFS, access point",
        csi_volume("efs.csi.aws.com", {}, "fs-1:/p:fsap-2"),
        (f"fs-1.efs.{REGION}.amazonaws.com",),
    ),
    ("EFS, address", csi_volume("efs.csi.aws.com", {"mounttargetip": "10.1.1.1"}), ("10.1.1.1",)),
    ("EFS driver, S3", csi_volume("efs.csi.aws.com", {}, "s3files:fs-1"), None),
    ("FSx", csi_volume("fsx.openzfs.csi.aws.com", {"DNSName": _FSX}), (_FSX,)),
    ("Filestore", csi_volume("filestore.csi.storage.gke.io", {"ip": "10.2.0.2"}), ("10.2.0.2",)),
    (
        "Azure Files NFS",
        csi_volume("file.csi.azure.com", {"protocol": "nfs", "storageAccount": "acc"}),
        ("acc.file.core.windows.net",),
    ),
    (
        "Azure Files NFS by handle",
        csi_volume("file.csi.azure.com", {"protocol": "nfs"}, "group#acc#share#"),
        ("acc.file.core.windows.net",),
    ),
    ("Azure Files SMB", csi_volume("file.csi.azure.com", {"storageAccount": "acc"}), None),
    (
        "Azure Blob NFS",
        csi_volume("blob.csi.azure.com", {"protocol": "nfs", "storageAccount": "acc"}),
        ("acc.blob.core.windows.net:2048",),
    ),
    ("Oracle", csi_volume("fss.csi.oraclecloud.com", {}, f"{_OCI}:10.0.0.6:/fs"), ("10.0.0.6",)),
    (
        "Oracle IPv6",
        csi_volume("fss.csi.oraclecloud.com", {}, f"{_OCI}:[fd00::6]:/fs"),
        ("[fd00::6]",),
    ),
    ("Alibaba", csi_volume("nasplugin.csi.alibabacloud.com", {"server": "a.nas"}), ("a.nas",)),
    ("IBM", csi_volume("vpc.file.csi.ibm.io", {"nfsServerPath": "10.9.9.9:/x"}), ("10.9.9.9",)),
    ("Huawei", csi_volume("sfsturbo.csi.everest.io", _EVEREST), ("a.sfsturbo.internal",)),
    ("Manila", csi_volume("nfs.manila.csi.openstack.org", {"shareID": "x"}), ()),
    ("Trident, file", csi_volume("csi.trident.netapp.io", {"protocol": "file"}), ()),
    ("Trident, block", csi_volume("csi.trident.netapp.io", {"protocol": "block"}), None),
    ("any other", csi_volume("nfs.example.com", {"server": "nas", "share": "/m"}), ("nas",)),
    ("SMB", csi_volume("smb.csi.k8s.io", {"source": "//nas/share"}), None),
    (
        "other protocol",
        csi_volume("x.example.com", {"server": "a", "share": "b", "protocol": "smb"}),
        None,
    ),
    ("block", csi_volume("ebs.csi.aws.com", {}, "vol-1"), None),
    ("local", {"spec": {"local": {"path": "/x"}}}, None),
]


@pytest.mark.parametrize(
    ("volume", "expected"), [row[1:] for row in VOLUMES], ids=[row[0] for row in VOLUMES]
)
def test_a_volume_names_its_servers(volume: Json, expected: tuple[str, ...] | None) -> None:
    """None is no NFS; () is NFS whose server the object does not tell, or that no node reaches."""
    source = of_volume(volume, REGION)
    assert (source.endpoints if source else None) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (storage_class("nfs.csi.k8s.io", {"server": "nas", "share": "/"}), ("nas",)),
        (
            storage_class("nasplugin.csi.alibabacloud.com", {"server": "a.nas:/x/,b.nas:/y"}),
            ("a.nas", "b.nas"),
        ),
        (
            storage_class("efs.csi.aws.com", {"fileSystemId": "fs-1"}),
            (f"fs-1.efs.{REGION}.amazonaws.com",),
        ),
        (storage_class("filestore.csi.storage.gke.io", {"tier": "premium"}), ()),
        (storage_class("kubernetes.io/no-provisioner", {}), None),
    ],
)
def test_a_storage_class_names_its_servers(made: Json, expected: tuple[str, ...] | None) -> None:
    """Where the server stands in the parameters it is known before the first volume is."""
    source = of_class(made, REGION)
    assert (source.endpoints if source else None) == expected


def test_without_a_region_only_the_servers_that_need_it_are_missing() -> None:
    """EFS names hold the region; China's end otherwise."""
    efs = csi_volume("efs.csi.aws.com", {}, "fs-1")
    assert of_volume(efs) == nfs_sources.Source("efs.csi.aws.com", (), (), takes_nconnect=False)
    china = of_volume(efs, "cn-north-1")
    assert china
    assert china.endpoints == ("fs-1.efs.cn-north-1.amazonaws.com.cn",)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "nfs": ANYTHING | st.fixed_dictionaries({"server": ANYTHING}),
        "csi": ANYTHING
        | st.fixed_dictionaries(
            {
                "driver": st.sampled_from([*nfs_sources.DRIVERS, "x"]) | ANYTHING,
                "volumeHandle": ANYTHING,
                "volumeAttributes": ANYTHING
                | st.dictionaries(st.sampled_from(["server", "share", "protocol", "ip"]), ANYTHING),
            }
        ),
        "mountOptions": ANYTHING,
    },
)


@given(SPECS)
def test_an_odd_volume_is_read_without_an_error(spec: Json) -> None:
    """Whatever stands where, and whatever it gives, the agent can read."""
    source = of_volume({"metadata": {}, "spec": spec}, REGION)
    lines = source.endpoints if source else ()
    listed = parse_file("\n".join(lines))
    assert listed.problems == ()
    assert len(listed.hosts) == len(lines)


HOSTS = st.text("abAB01-_.:[]% /", max_size=24) | st.ip_addresses().map(str)


@given(HOSTS, st.integers(1, 65535))
def test_every_endpoint_is_one_to_the_agent(server: str, port: int) -> None:
    """A line that the agent refuses would be a finding on every node."""
    (*lines,) = nfs_sources.endpoints(server, port)
    assert parse_file("\n".join(lines)).problems == ()
