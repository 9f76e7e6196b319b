# SPDX-License-Identifier: GPL-2.0-only
"""harness: apply a kernel patch series, build it, boot it, test it, say what it changed."""

__version__ = "0.1.0"
