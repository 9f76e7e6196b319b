# SPDX-License-Identifier: GPL-2.0-only
"""`python -m harness`."""

from harness.cli import entry

entry()
