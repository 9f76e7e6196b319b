# SPDX-License-Identifier: GPL-2.0-only
"""Figures as people say them."""


def duration(seconds: float) -> str:
    """`41 s`, `12 min`, `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
