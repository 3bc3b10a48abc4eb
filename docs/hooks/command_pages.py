"""The reference of the command line is made from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

PLACE = "<!-- generated: commands -->"
PROGRAM = "nwb-celltype"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the place that asks for the commands."""
    if PLACE not in markdown:
        return markdown
    from nwb_celltype.cli import group

    context = click.Context(group, info_name=PROGRAM)
    return markdown.replace(PLACE, "\n\n".join(described(group, context, 2)))


def described(group: click.Group, parent: click.Context, level: int) -> Iterator[str]:
    """Markdown of each command of a group, and of the commands below it."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
        words = context.command_path.removeprefix(f"{PROGRAM} ")
        yield f"{'#' * level} {words} {{ #{words.replace(' ', '-')} }}"
        yield "```text\n" + f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
        yield from _paragraphs(command.help or "")
        if rows := [_row(option, context) for option in command.params if isinstance(option, click.Option)]:
            yield "| option | meaning |\n|---|---|\n" + "\n".join(row for row in rows if row)
        if isinstance(command, click.Group):
            yield from described(command, context, level + 1)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.lstrip().startswith("\b"):  # lines that click leaves as they are
            yield "```text\n" + paragraph.replace("\b", "").strip("\n") + "\n```"
        else:
            yield _plain(paragraph)


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None or option.name == "help":
        return ""
    names, meaning = record
    return f"| {_code(names)} | {_plain(meaning)} |"


def _code(text: str) -> str:
    return "<code>" + text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;") + "</code>"


def _plain(text: str) -> str:
    """Text of a terminal, so that nothing in it is taken for Markdown."""
    flat = re.sub(r"\s+", " ", text).strip()
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")
    return re.sub(r"([\\`*_\[\]{}#!$])", r"\\\1", flat)
