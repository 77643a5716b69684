"""Reads other programs' files below one root folder; never writes, never leaves that folder."""

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase

from agent.doctor.claims import Claim
from agent.doctor.facts import Files
from agent.doctor.ini_files import DHCP, tuned_claims, tuned_parents
from agent.doctor.sources import (
    CNI_FOLDER,
    NETWORKD_FOLDERS,
    SOURCES,
    SYSCTL_SOURCES,
    TUNED_ACTIVE,
    TUNED_FOLDERS,
    UNITS,
    Source,
)

MAX_BYTES = 1 << 20
MAX_LINKS = 8
_CNI_GLOBS = ("*.conflist", "*.conf")


class HostFiles:
    """The files below a root, read one by one; what cannot be read is kept as a sentence."""

    def __init__(self, root: str) -> None:
        """Take the folder where the host's root is seen."""
        self.root = root.rstrip("/")
        self.unread: list[str] = []

    def files(self, *, is_host: bool) -> Files:
        """Return what they say; nothing where this is not the host's root."""
        if not is_host:
            return Files(self.root or "/", is_host=False, claims=(), sysctl_claims=(), unread=())
        claims = [claim for source in SOURCES for claim in self._claims(source)]
        claims += self._unit_claims()
        sysctls = [claim for source in SYSCTL_SOURCES for claim in self._claims(source)]
        profile = (self.read(TUNED_ACTIVE) or "").strip()
        sysctls += self._tuned(profile.split(), set())
        cni = [name for glob in _CNI_GLOBS for name in self._names(CNI_FOLDER, glob)]
        return Files(
            self.root or "/",
            is_host=True,
            claims=tuple(claims),
            sysctl_claims=tuple(sysctls),
            unread=tuple(dict.fromkeys(self.unread)),
            tuned_profile=profile,
            cni=tuple(f"{CNI_FOLDER}/{name}" for name in sorted(cni)),
        )

    def read(self, path: str) -> str | None:
        """Return a regular file's text, None where there is none."""
        try:
            here = self._inside(path)
            if not stat.S_ISREG(os.stat(here).st_mode):
                return None
            with open(here, "rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.unread.append(f"{path} ({error.strerror})")
            return None

    def _inside(self, path: str) -> str:
        """Return where a path of the host is here; an absolute link is the host's, not ours."""
        here = self.root + path
        for _ in range(MAX_LINKS):
            if not os.path.islink(here):
                break
            aim = os.readlink(here)
            here = self.root + aim if aim.startswith("/") else f"{os.path.dirname(here)}/{aim}"
        return here

    def _names(self, folder: str, glob: str) -> list[str]:
        try:
            return sorted(
                name for name in os.listdir(self._inside(folder)) if fnmatchcase(name, glob)
            )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.unread.append(f"{folder} ({error.strerror})")
            return []

    def _effective(self, folders: tuple[str, ...], glob: str) -> dict[str, str]:
        """Return path by name: a file hides those of its name in the folders after its own."""
        found: dict[str, str] = {}
        for folder in folders:
            for name in self._names(folder, glob):
                found.setdefault(name, f"{folder}/{name}")
        return dict(sorted(found.items()))

    def _claims(self, source: Source) -> Iterator[Claim]:
        for path in self._effective(source.folders, source.glob).values():
            try:
                yield from source.parse(self.read(path) or "", path)
            except ValueError as error:
                self.unread.append(f"{path} ({error})")

    def _unit_claims(self) -> Iterator[Claim]:
        """Yield what each unit sets with its drop-ins; of several MTUs the last one counts."""
        for unit in UNITS:
            for name, path in self._effective(NETWORKD_FOLDERS, unit.glob).items():
                base = self.read(path) or ""
                claims = [*unit.parse(base, path, "")]
                folders = tuple(f"{folder}/{name}.d" for folder in NETWORKD_FOLDERS)
                for added in self._effective(folders, "*.conf").values():
                    claims += unit.parse(self.read(added) or "", added, base)
                yield from (claim for claim in claims if claim.value == DHCP)
                yield from [claim for claim in claims if claim.value != DHCP][-1:]

    def _tuned(self, profiles: list[str], seen: set[str]) -> Iterator[Claim]:
        """Yield what the profiles set, what each includes before its own."""
        for name in profiles:
            paths = [f"{folder}/{name}/tuned.conf" for folder in TUNED_FOLDERS]
            text, path = next(((t, p) for p in paths if (t := self.read(p))), ("", ""))
            if text and name not in seen:
                seen.add(name)
                yield from self._tuned(list(tuned_parents(text)), seen)
                yield from tuned_claims(text, path)
