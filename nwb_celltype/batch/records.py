"""What a batch means to do with each asset, what became of it, and the plain text and JSON of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.batch.verdicts import verdict_lines
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, NothingToDoError, RefusedError, UsageError

PlannedStatus = Literal["to do", "done already", "skipped", "failed"]
Status = Literal["done", "done already", "skipped", "failed", "not reached"]

UNEXPECTED = 1
_EXIT_CODES = {
    kind.__name__: kind.exit_code for kind in (UsageError, InputError, RefusedError, NetworkError, NothingToDoError)
}


@dataclass(frozen=True)
class Failure:
    """Why something could not be done.

    Attributes
    ----------
    kind : str
        Name of the class of the error.
    reason : str
        What went wrong and what to do.
    trace : str
        Where an unexpected error came from.
    """

    kind: str
    reason: str
    trace: str = ""

    @property
    def exit_code(self) -> int:
        """What the command line ends with for this error; 1 for one that was not raised on purpose."""
        return _EXIT_CODES.get(self.kind, UNEXPECTED)

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an error.

        Examples
        --------
        >>> Failure.of(InputError("a.nwb is truncated")).exit_code
        3
        """
        import traceback

        if isinstance(error, CellTypeError):
            kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in _EXIT_CODES), type(error).__name__)
            return cls(kind, str(error))
        if isinstance(error, MemoryError):
            return cls("MemoryError", "There is not enough memory for it; use fewer workers, or a larger machine.")
        said = f"Unexpected: {type(error).__name__}: {error}. Please report this."
        return cls(type(error).__name__, said, "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class PlannedAsset:
    """What is to be done with one asset.

    Attributes
    ----------
    address : str
        Canonical address, or the path of a local file.
    path : str
        In the dandiset or folder, with forward slashes.
    status : {'to do', 'done already', 'skipped', 'failed'}
        ``failed``: it cannot even be looked at, or a file that is not ours is in the way of its labels.
    reason : str
        Why it is skipped or failed.
    units : int
        Units that are to be annotated.
    left_out : int
        Units that lie elsewhere than in the region that was asked for, or in the model's tissue.
    unknown : int
        Of `units`, those whose region the file does not state.
    bytes_to_read : int
        Stored bytes of the spikes and mean waveforms of these units.
    size : int
        Of the whole file, bytes; 0 when unknown.
    file : str
        Where the labels go, from the output folder.
    failure : Failure or None
    """

    address: str
    path: str
    status: PlannedStatus
    reason: str = ""
    units: int = 0
    left_out: int = 0
    unknown: int = 0
    bytes_to_read: int = 0
    size: int = 0
    file: str = ""
    failure: Failure | None = None


@dataclass(frozen=True)
class Plan:
    """What a batch means to do, asset by asset.

    Attributes
    ----------
    source : str
        What was asked for, with the version that was found.
    out : str
        Folder of the results.
    model : str
    assets : tuple of PlannedAsset
    region : str
        Which units are taken, in words.
    notes : tuple of str
        Choices that were made for the caller.
    """

    source: str
    out: str
    model: str
    assets: tuple[PlannedAsset, ...]
    region: str = ""
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of assets of each status."""
        return dict(sorted(Counter(asset.status for asset in self.assets).items()))

    @property
    def skipped(self) -> dict[str, int]:
        """Number of skipped assets for each reason."""
        return dict(sorted(Counter(asset.reason for asset in self.assets if asset.status == "skipped").items()))

    def total(self, name: str) -> int:
        """Sum over the assets that are to be done of `units`, `left_out`, `unknown`, `bytes_to_read` or `size`."""
        return sum(int(getattr(asset, name)) for asset in self.assets if asset.status == "to do")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        names = ("units", "left_out", "unknown", "bytes_to_read", "size")
        return {
            "source": self.source,
            "out": self.out,
            "model": self.model,
            "region": self.region,
            "notes": list(self.notes),
            "counts": self.counts,
            "skipped": self.skipped,
            "totals": {name: self.total(name) for name in names},
            "assets": [_without_trace(asdict(asset)) for asset in self.assets],
        }

    def __str__(self) -> str:
        lines = [f"Annotate {self.source} with {self.model} -> {self.out}"]
        lines += [f"Units: {self.region}"] if self.region else []
        lines += [*self.notes, ""]
        lines += [_planned_line(asset) for asset in self.assets if asset.status != "skipped"]
        lines += _skipped_lines([asset for asset in self.assets if asset.status == "skipped"])
        n = self.counts.get("to do", 0)
        done = self.counts.get("done already", 0)
        lines += [
            "",
            f"{counted(n, 'asset')} to do: {_units_text(self)}, {megabytes(self.total('bytes_to_read'))} to read",
        ]
        lines[-1] += f" of {megabytes(self.total('size'))}" if self.total("size") else ""
        lines += [f"{counted(done, 'asset')} done already"] if done else []
        failed = self.counts.get("failed", 0)
        lines += [f"{counted(failed, 'asset')} cannot be done"] if failed else []
        return "\n".join(lines)


@dataclass(frozen=True)
class AssetOutcome:
    """What became of one asset.

    Attributes
    ----------
    address, path, file : str
        As in `PlannedAsset`.
    status : {'done', 'done already', 'skipped', 'failed', 'not reached'}
    reason : str
        Why it is skipped or failed.
    units, typed, left_out : int
        Units in the run, those with a label, and those left out by region.
    classes : mapping of str to int
        Number of units of each label.
    bytes_read : int
        That came over the network; 0 for local files.
    verdict : str
        Can the recording be typed?
    seconds : float
    failure : Failure or None
    """

    address: str
    path: str
    status: Status
    reason: str = ""
    file: str = ""
    units: int = 0
    typed: int = 0
    left_out: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)
    bytes_read: int = 0
    verdict: str = ""
    seconds: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True)
class BatchResult:
    """What became of every asset of a batch.

    Attributes
    ----------
    out : Path
        Folder of the results.
    plan : Plan
    assets : tuple of AssetOutcome
        In the order of the plan; empty after a dry run.
    units_file : Path or None
        The table of all units.
    is_dry_run : bool
    notes : tuple of str
        What else is worth knowing.
    """

    out: Path
    plan: Plan
    assets: tuple[AssetOutcome, ...] = ()
    units_file: Path | None = None
    is_dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of assets of each status."""
        return dict(sorted(Counter(asset.status for asset in self.assets).items()))

    @property
    def failures(self) -> tuple[AssetOutcome, ...]:
        """Assets that failed."""
        return tuple(asset for asset in self.assets if asset.status == "failed")

    @property
    def exit_code(self) -> int:
        """0 where all is done; the code of the failures where they share one; else 1."""
        rows: Sequence[PlannedAsset | AssetOutcome] = self.plan.assets if self.is_dry_run else self.assets
        codes = {row.failure.exit_code for row in rows if row.failure is not None}
        if not codes:
            return 0
        return codes.pop() if len(codes) == 1 else UNEXPECTED

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        return {
            "out": str(self.out),
            "dry_run": self.is_dry_run,
            "plan": self.plan.to_json(),
            "counts": self.counts,
            "assets": [_without_trace(asdict(asset)) for asset in self.assets],
            "units_file": None if self.units_file is None else str(self.units_file),
            "notes": list(self.notes),
            "exit_code": self.exit_code,
        }

    def __str__(self) -> str:
        if self.is_dry_run:
            return f"{self.plan}\nDry run: nothing was read but metadata, and nothing was written."
        lines = [_outcome_line(asset) for asset in self.assets if asset.status in {"done", "done already"}]
        lines += _skipped_lines([asset for asset in self.assets if asset.status == "skipped"])
        verdicts = verdict_lines([asset.verdict for asset in self.assets if asset.verdict])
        lines += ["", *verdicts] if verdicts else []
        if self.failures:
            lines += ["", f"{counted(len(self.failures), 'asset')} failed:"]
            lines += [f"  {asset.path}: {asset.reason}" for asset in self.failures]
        lines += ["", *self.notes]
        said = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        lines.append(f"{counted(len(self.assets), 'asset')}: {said} -> {self.out}")
        if self.failures:
            lines.append("Run the same command again to try what failed; what is done stays done.")
        return "\n".join(lines).strip("\n")


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "asset"), counted(1200, "unit")
    ('1 asset', '1,200 units')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def megabytes(n: int) -> str:
    """Return a number of bytes in the unit that suits it.

    Examples
    --------
    >>> megabytes(900), megabytes(1_250_000), megabytes(3_000_000_000)
    ('0.9 kB', '1.2 MB', '3.0 GB')
    """
    if n < 1e6:
        return f"{n / 1e3:.1f} kB"
    return f"{n / 1e6:.1f} MB" if n < 1e9 else f"{n / 1e9:.1f} GB"


def _units_text(plan: Plan) -> str:
    text = counted(plan.total("units"), "unit")
    if plan.total("unknown"):
        text += f" ({plan.total('unknown'):,} of unknown region)"
    if plan.total("left_out"):
        text += f", {plan.total('left_out'):,} left out by region"
    return text


def _planned_line(asset: PlannedAsset) -> str:
    if asset.status == "failed":
        return f"{asset.status:<13}{asset.path}: {asset.reason}"
    text = f"{asset.status:<13}{asset.path}"
    if asset.status == "to do":
        text += f"  {counted(asset.units, 'unit')}"
        text += f", {asset.unknown} of unknown region" if asset.unknown else ""
        text += f", {asset.left_out} left out" if asset.left_out else ""
        text += f", {megabytes(asset.bytes_to_read)}"
    return text


def _outcome_line(asset: AssetOutcome) -> str:
    held = ", ".join(f"{n} {label}" for label, n in asset.classes.items())
    text = f"{asset.status:<13}{asset.path} -> {asset.file}  {counted(asset.units, 'unit')}"
    text += f": {held}" if held else ""
    return text + (f"; {asset.left_out} left out by region" if asset.left_out else "")


def _skipped_lines(assets: Sequence[PlannedAsset | AssetOutcome]) -> list[str]:
    """One line a reason: a dandiset may hold hundreds of files of another kind."""
    reasons: dict[str, list[str]] = {}
    for asset in assets:
        reasons.setdefault(asset.reason, []).append(asset.path)
    lines = []
    for reason, paths in reasons.items():
        shown = ", ".join(paths[:3]) + (f", and {len(paths) - 3:,} more" if len(paths) > 3 else "")
        lines.append(f"{'skipped':<13}{shown}: {reason}")
    return lines


def _without_trace(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("failure"):
        row["failure"] = {"kind": row["failure"]["kind"]}
    return row
