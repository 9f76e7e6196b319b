# SPDX-License-Identifier: GPL-2.0-only
"""`harness tree`, `doctor`, `config`, `completion`, `man`: what is set up here."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from harness.cli import parser, screen
from harness.errors import ExitCode
from harness.model import SCHEMA
from harness.report.paint import paint


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    tree = parser.group(commands, "tree", "list, add or remove named kernel trees")
    parser.command(tree, "list", _tree_list, "the trees that have a name")
    new = parser.command(tree, "add", _tree_add, "name a repository, tarball, directory or URL")
    new.add_argument("name")
    new.add_argument("place", metavar="PATH|URL")
    parser.command(tree, "remove", _tree_remove, "forget a name").add_argument("name")
    doctor = parser.command(commands, "doctor", _doctor, "what this machine has and lacks")
    doctor.add_argument("--probe", action="store_true", help="try KVM anew with a built kernel")
    doctor.add_argument("--json", action="store_true", help="one JSON document")
    config = parser.group(commands, "config", "show where defaults come from")
    shown = parser.command(config, "show", _config_show, "each value and where it was set")
    shown.add_argument("--json", action="store_true", help="one JSON document")
    completion = parser.command(
        commands, "completion", _completion, "what a shell wants for completing our commands"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.command(commands, "man", _man, "the manual page, for `harness man | man -l -`")


def _tree_list(arguments: argparse.Namespace) -> int:
    from harness import tree

    for name in (*tree.added(), *(n for n in tree.KNOWN if n not in tree.added())):
        print(f"{name:<16} {tree.place_of(name)}")
    return ExitCode.OK


def _tree_add(arguments: argparse.Namespace) -> int:
    from harness import tree

    screen.watch()
    base = tree.add(arguments.name, arguments.place)
    print(f"{base.name}: {base.version}, {base.commit[:12]}")
    return ExitCode.OK


def _tree_remove(arguments: argparse.Namespace) -> int:
    from harness import tree

    tree.remove(arguments.name)
    return ExitCode.OK


def _doctor(arguments: argparse.Namespace) -> int:
    from harness import doctor, kernel

    image = kernel.latest_image()
    checks = doctor.examine(probe=arguments.probe, image=image)
    missing = [check for check in checks if check.state == "missing"]
    code = ExitCode.HOST if missing else ExitCode.OK
    if arguments.json:
        document = {"schema": SCHEMA, "exit": code, "checks": [asdict(check) for check in checks]}
        print(json.dumps(document, indent=1))
        return code
    colours = {"ok": "32", "missing": "31", "optional": "33"}
    for check in checks:
        state = paint(f"{check.state:<8}", colours[check.state], colour=screen.colour(sys.stdout))
        print(f"{state}  {check.name:<19} {check.note}")
        if check.mend:
            print(f"{'':<10}{'':<19} -> {check.mend}")
    if arguments.probe and image is None:
        print("no kernel was built yet, so KVM was not tried: `harness run` does both")
    return code


def _config_show(arguments: argparse.Namespace) -> int:
    from harness import config

    values = config.load()
    if arguments.json:
        shown = {name: {"value": v.value, "source": v.source} for name, v in values.items()}
        print(json.dumps({"schema": SCHEMA, "values": shown}, indent=1))
        return ExitCode.OK
    for name, (_, summary) in config.KEYS.items():
        if name in values:
            said = json.dumps(values[name].value)
            print(f"{name:<11} {said:<24} {values[name].source}")
        else:
            print(f"{name:<11} {'-':<24} not set: {summary}")
    return ExitCode.OK


def _completion(arguments: argparse.Namespace) -> int:
    from harness.cli import completion

    print(completion.code(arguments.shell))
    return ExitCode.OK


def _man(arguments: argparse.Namespace) -> int:
    from harness.cli import completion

    print(completion.man_page(arguments.parser))
    return ExitCode.OK
