"""PersistentVolumes and StorageClasses for tests."""

from collections.abc import Mapping, Sequence

from webhook.decisions import Json


def volume(
    spec: Json,
    options: Sequence[str] | None = None,
    annotations: Mapping[str, str] | None = None,
    class_name: str = "",
) -> Json:
    """Return a PersistentVolume around a source."""
    whole: Json = {"capacity": {"storage": "1Ti"}, "accessModes": ["ReadOnlyMany"], **spec}
    if options is not None:
        whole["mountOptions"] = list(options)
    if class_name:
        whole["storageClassName"] = class_name
    metadata: Json = {"name": "models"}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": whole}


def nfs_volume(
    server: str,
    options: Sequence[str] | None = None,
    annotations: Mapping[str, str] | None = None,
    class_name: str = "",
) -> Json:
    """Return an in-tree NFS volume."""
    return volume({"nfs": {"server": server, "path": "/m"}}, options, annotations, class_name)


def csi_volume(
    driver: str,
    attributes: Mapping[str, str],
    handle: str = "handle",
    options: Sequence[str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """Return a CSI volume."""
    csi = {"driver": driver, "volumeHandle": handle, "volumeAttributes": dict(attributes)}
    return volume({"csi": csi}, options, annotations)


def storage_class(provisioner: str, parameters: Mapping[str, str], name: str = "models") -> Json:
    """Return a StorageClass."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "parameters": dict(parameters),
    }
