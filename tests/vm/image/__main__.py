"""
Build the guest's image: a Debian root with an NFS client and server, and a Debian kernel.

``python -m tests.vm.image [KERNEL ...]`` builds what is missing and prints where it is; without a
name the kernel of TUNEGATE_VM_KERNEL, else the default one. An image is
a folder of the cache, named after a hash of its recipe (this package), so a changed recipe builds
anew:

    vm-6.12-<hash>/vm-6.12    the root disk, ext4
    vm-6.12-<hash>/vmlinuz, initramfs, packages (their versions)
"""

import argparse
import sys

from tests.lab.progress import Progress
from tests.lab.steps import StepError
from tests.vm.image.recipe import KERNELS, chosen_kernel, ensure, foreign


def main(arguments: list[str] | None = None) -> int:
    """Build the images of these kernels; 1 when that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.image", description=__doc__)
    parser.add_argument("kernels", metavar="KERNEL", nargs="*", help=", ".join(KERNELS))
    options = parser.parse_args(arguments)
    unknown = [name for name in options.kernels if name not in KERNELS]
    if unknown:
        parser.error(f"no such kernel: {', '.join(unknown)} (there are: {', '.join(KERNELS)})")
    if foreign():
        print(foreign(), file=sys.stderr)
        return 0
    try:
        for name in options.kernels or [chosen_kernel()]:
            print(ensure(name, Progress()).root)
    except (StepError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the next run starts over", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
