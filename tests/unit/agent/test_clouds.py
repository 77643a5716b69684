"""Which cloud a node is in, and what its network carries."""

import pytest

from agent.clouds import CLOUDS, DMI_FILES, detect_from_dmi, detect_from_provider_id


@pytest.mark.parametrize(
    ("provider_id", "cloud"),
    [
        ("aws:///eu-central-1a/i-0123456789abcdef0", "aws"),
        ("azure:///subscriptions/1/resourceGroups/g/providers/vm/0", "azure"),
        ("gce://project/europe-west4-a/gke-gpu-1", "gcp"),
        ("digitalocean://412345678", "digitalocean"),
        ("ocid1.instance.oc1.eu-frankfurt-1.abc", "oracle"),
        ("hcloud://1234", "hetzner"),
        ("openstack:///0f0f", "openstack"),
    ],
)
def test_the_provider_id_names_the_cloud(provider_id: str, cloud: str) -> None:
    """Its scheme, or Oracle's own form without one."""
    found = detect_from_provider_id(provider_id)
    assert found is CLOUDS[cloud]


@pytest.mark.parametrize("provider_id", ["", "kind://docker/kind/kind-worker", "aws", "i-0123"])
def test_another_provider_id_names_none(provider_id: str) -> None:
    """A word without its scheme proves nothing."""
    assert detect_from_provider_id(provider_id) is None


@pytest.mark.parametrize(
    ("dmi", "cloud"),
    [
        ({"sys_vendor": "Amazon EC2\n", "product_name": "p5.48xlarge\n"}, "aws"),
        ({"sys_vendor": "Xen\n", "board_asset_tag": "i-0123456789abcdef0\n"}, "aws"),
        ({"sys_vendor": "Google\n", "product_name": "Google Compute Engine\n"}, "gcp"),
        (
            {
                "sys_vendor": "Microsoft Corporation\n",
                "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n",
            },
            "azure",
        ),
        ({"sys_vendor": "DigitalOcean\n", "product_name": "Droplet\n"}, "digitalocean"),
        ({"sys_vendor": "QEMU\n", "chassis_asset_tag": "OracleCloud.com\n"}, "oracle"),
        ({"sys_vendor": "OpenStack Foundation\n", "product_name": "OpenStack Nova\n"}, "openstack"),
    ],
)
def test_the_machine_names_the_cloud(dmi: dict[str, str], cloud: str) -> None:
    """By the marks that cloud-init goes by; every file of them is one that is asked for."""
    assert detect_from_dmi(dmi) is CLOUDS[cloud]
    assert {"sys_vendor", "product_name", "board_asset_tag", "chassis_asset_tag"} == set(DMI_FILES)


def test_a_machine_of_ones_own_is_in_no_cloud() -> None:
    """Hyper-V on a desk is not Azure, and an empty file says nothing."""
    assert detect_from_dmi({"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": ""}) is None
    assert detect_from_dmi({}) is None


def test_the_ceiling_follows_the_nic_where_the_cloud_says_so() -> None:
    """Azure's two NICs differ; elsewhere the driver does not matter."""
    assert CLOUDS["azure"].ceiling_for(["hv_netvsc", "mlx5_core"]) == 3900
    assert CLOUDS["azure"].ceiling_for(["hv_netvsc", "mana"]) == 9000
    assert CLOUDS["azure"].ceiling_for(["hv_netvsc"]) == 9000
    assert CLOUDS["gcp"].ceiling_for(["gve"]) == 8896
    assert CLOUDS["aws"].ceiling_for(["ena"]) == 9001
    assert CLOUDS["digitalocean"].ceiling_for(["virtio_net"]) is None


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=lambda cloud: cloud.name)
def test_every_cloud_says_what_to_do(cloud: object) -> None:
    """A whole sentence, for people."""
    assert str(getattr(cloud, "advice", "")).endswith(".")
