# SPDX-License-Identifier: GPL-2.0-only
"""What is made from the parser: completion in shells, the manual page."""

import argparse


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks (`_ARGCOMPLETE` in the environment), and end."""
    import argcomplete

    argcomplete.autocomplete(parser)


def code(shell: str) -> str:
    """What bash, zsh or fish has to read for completing `harness`."""
    from argcomplete.shell_integration import shellcode

    return shellcode(["harness"], shell=shell)


def man_page(parser: argparse.ArgumentParser) -> str:
    """harness(1) as roff."""
    from argparse_manpage.manpage import Manpage

    vars(parser)["man_short_description"] = "test kernel patch series"
    return str(Manpage(parser))
