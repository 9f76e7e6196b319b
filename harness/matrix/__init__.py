# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: its cells, in which order they run, where, and what became of them."""
