# SPDX-License-Identifier: GPL-2.0-only
"""Which commit, patch or option broke a test (docs/bisect.md)."""
