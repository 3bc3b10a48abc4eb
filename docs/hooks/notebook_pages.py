"""Each notebook is a page: its cells as they stand, with the outputs and pictures that are stored in it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]


def on_config(config: Any, **_: Any) -> Any:
    """Put every notebook into the navigation, by its name."""
    for section in config.nav:
        for entry in next(iter(section.values())) if isinstance(section, dict) else ():
            if isinstance(entry, dict) and "Notebooks" in entry:
                names = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
                entry["Notebooks"] = [{_title(name): f"notebooks/{name}.md"} for name in names]
    return config


def _title(name: str) -> str:
    """`01_convert_a_mouse_session` as words."""
    return re.sub(r"^\d+_", "", name).replace("_", " ").capitalize()


def on_files(files: Any, *, config: Any, **_: Any) -> Any:
    """Add a page for each notebook, and its pictures."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        parts = []
        for k, cell in enumerate(cells):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.md", source.replace("](../docs/", "](../")))
            elif cell["cell_type"] == "code" and source.strip():
                parts.append(f"```python\n{source}\n```")
                parts += _outputs(cell.get("outputs", []), path.stem, k, files, config)
        note = f"*This page is the notebook [`{path.name}`](../../notebooks/{path.name}), as it was run.*"
        head, _, rest = "\n\n".join(parts).partition("\n")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=f"{head}\n\n{note}\n{rest}"))
    return files


def _outputs(outputs: list[dict[str, Any]], name: str, cell: int, files: Any, config: Any) -> list[str]:
    parts = []
    for k, output in enumerate(outputs):
        data = output.get("data", {})
        text = "".join(output.get("text", "") or data.get("text/plain", ""))
        html = "".join(data.get("text/html", ""))
        if "image/png" in data:
            place = f"notebooks/{name}/{cell}_{k}.png"
            content = base64.b64decode("".join(data["image/png"]))
            files.append(File.generated(config, place, content=content))
            parts.append(
                f'<div class="nb-output" markdown>\n![Figure of the cell above]({name}/{cell}_{k}.png)\n</div>'
            )
        elif table := re.search(r"<table.*?</table>", html, re.DOTALL):
            rows = re.sub(r"\n\s*", "", table[0]).replace('<table border="1" class="dataframe">', "<table>")
            parts.append(f'<div class="nb-output">{rows}</div>')
        elif text.strip():
            plain = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip()
            parts.append(f"```text\n{plain}\n```")
    return parts
