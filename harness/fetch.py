# SPDX-License-Identifier: GPL-2.0-only
"""Kernel tarballs from kernel.org, checked against its list of checksums."""

import hashlib
import logging
import os
import re
from pathlib import Path

from harness import cache
from harness.errors import HostError

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_TIMEOUT_S = 60.0


def mirror() -> str:
    """Where kernels are downloaded from; `$HARNESS_KERNEL_ORG` names another server."""
    return os.environ.get("HARNESS_KERNEL_ORG", "https://cdn.kernel.org/pub/linux/kernel")


def kernel_org(branch: str) -> Path:
    """The newest tarball of a branch such as 6.12, downloaded once and verified.

    The list of checksums (sha256sums.asc of the directory) is trusted as far as its transport
    is. HostError when the network, the list or the sum is wrong.
    """
    directory = f"{mirror()}/v{branch.split('.')[0]}.x"
    listing = _get(f"{directory}/sha256sums.asc").decode(errors="replace")
    pattern = rf"^([0-9a-f]{{64}})  (linux-{re.escape(branch)}(?:\.(\d+))?\.tar\.xz)$"
    found = re.findall(pattern, listing, re.MULTILINE)
    if not found:
        raise HostError(f"{directory}/sha256sums.asc lists no kernel of {branch}")
    wanted, name, _ = max(found, key=lambda entry: int(entry[2] or 0))
    wanted, name = str(wanted), str(name)
    path = cache.root() / "tarballs" / name
    if not path.exists():
        log.info("downloading %s/%s", directory, name)
        data = _get(f"{directory}/{name}")
        if hashlib.sha256(data).hexdigest() != wanted:
            raise HostError(f"{directory}/{name} has another checksum than sha256sums.asc says")
        cache.write_whole(path, data)
    return path


def _get(url: str) -> bytes:
    parts = []
    import urllib.error  # slow to import, and rarely needed
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            while chunk := answer.read(_CHUNK):
                parts.append(chunk)
    except (urllib.error.URLError, OSError) as error:
        raise HostError(
            f"cannot download {url}: {getattr(error, 'reason', error)}",
            hint="install the distribution's kernel source (linux-source-6.12 on Debian), or name "
            "a tree with --tree PATH",
        ) from None
    return b"".join(parts)
