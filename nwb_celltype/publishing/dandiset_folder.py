"""The folder of a dandiset: its `dandiset.yaml`, the note of where it was published, and the lock of one publisher."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import is_at, try_lock
from nwb_celltype.nested_text import parse_json, parse_yaml
from nwb_celltype.publishing.local_files import OUR_FOLDER
from nwb_celltype.replacing import replace_file, tidy_up, tidy_within

DRAFT = "dandiset.yaml"
_NOTE = "publication.json"
_LOCK = "publication.lock"
_EMPTY = ("todo", "placeholder", "required", "fill in")


class DandisetFolder:
    """Metadata and memory of one folder.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If it is no folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            message = f"{folder} is no folder; give the folder that holds {DRAFT} and the sub-* folders."
            raise InputError(message)
        self.folder = folder.absolute()

    @property
    def draft_file(self) -> Path:
        """Path of `dandiset.yaml`."""
        return self.folder / DRAFT

    def draft(self) -> dict[str, Any]:
        """Read `dandiset.yaml`; fields that are empty or still say what to fill in are left out.

        Raises
        ------
        InputError
            If it is no YAML mapping.
        """
        try:
            content = parse_yaml(self.draft_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"{self.draft_file} cannot be read: {error.strerror}."
            raise InputError(message) from error
        except (yaml.YAMLError, ValueError) as error:
            message = f"{self.draft_file} is no YAML: {error}. Correct it."
            raise InputError(message) from error
        if content is None:
            return {}
        if not isinstance(content, dict):
            message = f"{self.draft_file} must hold fields such as `name: ...`, a line each."
            raise InputError(message)
        return {str(key): value for key, value in content.items() if _is_filled(value)}

    def identifier(self) -> str:
        """Six digits of the dandiset that `dandiset.yaml` names; empty if none."""
        found = re.search(r"\d{6}$", str(self.draft().get("identifier", "")))
        return found.group() if found else ""

    def remember_identifier(self, identifier: str) -> None:
        """Write the identifier into `dandiset.yaml`, all else in it left as it is."""
        line = f'identifier: "{identifier}"'
        text = self.draft_file.read_text(encoding="utf-8") if self.draft_file.exists() else ""
        pattern = re.compile(r"^identifier[ \t]*:.*$", re.MULTILINE)
        new = pattern.sub(line, text, count=1) if pattern.search(text) else f"{line}\n{text}"
        if new != text:
            _replace(self.draft_file, new)

    def note(self, api_url: str) -> dict[str, Any]:
        """Return what is remembered about this folder at one archive; empty if nothing is."""
        found = self._notes().get(api_url, {})
        return dict(found) if isinstance(found, dict) else {}

    def write_note(self, api_url: str, note: Mapping[str, Any]) -> None:
        """Remember something about this folder at one archive; it survives a kill at any instant."""
        notes = self._notes()
        notes[api_url] = dict(note)
        place = self.folder / OUR_FOLDER
        place.mkdir(exist_ok=True)
        _replace(place / _NOTE, json.dumps(notes, indent=2, sort_keys=True) + "\n")

    def is_ours(self, identifier: str) -> bool:
        """Whether this folder was published into that dandiset before, on whichever archive."""
        return any(isinstance(note, dict) and note.get("dandiset") == identifier for note in self._notes().values())

    @contextlib.contextmanager
    def only_publisher(self) -> Iterator[None]:
        """Keep two processes of one machine from publishing one folder.

        Raises
        ------
        RefusedError
            If another process publishes it.
        InputError
            If nothing can be written in the folder.
        """
        place = self.folder / OUR_FOLDER
        lock = place / _LOCK
        while True:
            try:
                place.mkdir(exist_ok=True)
                handle = lock.open("ab")
            except FileNotFoundError:  # another process has just taken the empty folder away
                continue
            except OSError as error:
                message = (
                    f"{place} cannot be written: {error.strerror}. The folder must be writable, to resume after a kill."
                )
                raise InputError(message) from error
            with handle:
                if not try_lock(handle):
                    message = f"Another process is publishing {self.folder}; wait until it is done."
                    raise RefusedError(message)
                if not is_at(lock, handle):  # its last holder has just finished and deleted it
                    continue
                tidy_up(self.draft_file)
                tidy_within(place)
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # something was noted there
                        place.rmdir()
                return

    def _notes(self) -> dict[str, Any]:
        place = self.folder / OUR_FOLDER / _NOTE
        try:
            content = parse_json(place.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            message = f"{place} is damaged: {error}. Delete it, and name the dandiset with --dandiset."
            raise InputError(message) from error
        return content if isinstance(content, dict) else {}


def _is_filled(value: Any) -> bool:
    if value is None or value == "" or value == [] or value == {}:
        return False
    return not (isinstance(value, str) and value.strip().lower().startswith(_EMPTY))


def _replace(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}. Make room, or make the folder writable."
        raise InputError(message) from error
