"""Play kubelet for nodes that are only API objects: https://kwok.sigs.k8s.io."""

from tests.lab import binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import KWOK_ANNOTATION
from tests.lab.process import LabDir, LabProcess

PROGRAMS = ("kwok", "kwok-stages")


class Kwok:
    """Keep annotated nodes Ready with a fresh Lease, and the pods bound to them Running."""

    def __init__(self, lab_dir: LabDir, control_plane: ControlPlane, netns: str) -> None:
        """Prepare; nothing runs yet."""
        self._lab_dir = lab_dir
        self._netns = netns
        self._kubeconfig = control_plane.client_kubeconfig(
            "kwok", ["system:masters"], host="127.0.0.1"
        )
        self._process: LabProcess | None = None

    def start(self) -> None:
        """Start it in the control plane's namespace; back at once."""
        argv = [
            str(binaries.find("kwok")),
            f"--kubeconfig={self._kubeconfig}",
            f"--config={binaries.find('kwok-stages')}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={KWOK_ANNOTATION}=fake",
            "--node-lease-duration-seconds=40",
            "--server-address=127.0.0.1:10247",
        ]
        self._process = self._lab_dir.spawn("kwok", argv, netns=self._netns)

    def stop(self) -> None:
        """End it: its nodes stay as they are until their leases run out."""
        if self._process is not None:
            self._process.stop()
            self._process = None
