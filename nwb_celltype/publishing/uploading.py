"""Files to the archive by its own client: nothing twice, what fails is tried again, and a stop says what is where."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import ParseError

from nwb_celltype.archive.addresses import without_secrets
from nwb_celltype.archive.instances import Instance
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, RefusedError
from nwb_celltype.publishing.asset_metadata import asset_metadata, same_metadata, with_own_keys
from nwb_celltype.publishing.local_files import LocalFile
from nwb_celltype.publishing.records import Problem, Progress, PublishedFile, State

TRIES = 3
"""How often a file is sent whose parts the server got wrong; single requests are tried again by the client."""

_MB = 1_000_000
_SHOWN = 10


@dataclass(frozen=True)
class RemoteFile:
    """An asset of the draft, as it is now.

    Attributes
    ----------
    asset : object
        The client's record.
    etag : str
        Multipart digest of its bytes.
    metadata : mapping
    """

    asset: Any
    etag: str
    metadata: Mapping[str, Any]


def remote_files(dandiset: Any) -> dict[str, RemoteFile]:
    """List the assets of a draft by path, with their metadata, in as few requests as there are."""
    from dandi.dandiapi import RemoteAsset

    path = f"{dandiset.version_api_path}assets/"
    found = {}
    for item in dandiset.client.paginate(path, params={"metadata": "true"}, page_size=1000):
        metadata = item.get("metadata") or {}
        etag = str((metadata.get("digest") or {}).get("dandi:dandi-etag", ""))
        found[str(item["path"])] = RemoteFile(RemoteAsset.from_data(dandiset, item), etag, metadata)
    return found


def plan(files: Sequence[LocalFile], remote: Mapping[str, RemoteFile]) -> tuple[list[PublishedFile], list[Problem]]:
    """Compare the files with what is there: what would be sent, and what cannot be.

    Parameters
    ----------
    files : sequence of LocalFile
    remote : mapping of str to RemoteFile

    Returns
    -------
    files : list of PublishedFile
    problems : list of Problem
    """
    folded = {path.lower(): path for path in remote}
    planned, problems = [], []
    for local in files:
        other = folded.get(local.path.lower(), local.path)
        if other != local.path:
            text = f"differs from {other} in the archive only in upper and lower case; name it the same."
            problems.append(Problem(local.path, text))
        there = remote.get(local.path)
        asset_id = there.asset.identifier if there else ""
        planned.append(PublishedFile(local.path, _state(local, there), local.size, asset_id))
    return planned, problems


def _state(local: LocalFile, there: RemoteFile | None) -> State:
    if there is None:
        return "new"
    if there.etag != local.etag:
        return "replaced"
    ours = with_own_keys(asset_metadata(local), there.metadata)
    return "unchanged" if same_metadata(ours, there.metadata) else "described"


def send_files(
    files: Sequence[LocalFile], dandiset: Any, instance: Instance, *, jobs: int, progress: Progress
) -> list[PublishedFile]:
    """Send what is not there yet, `jobs` files at a time; stop at the first that cannot be sent.

    Somebody else may be sending a copy of the same folder. So the archive is asked again just before each file whether
    it has an asset there by now, and then, as the client begins the upload, whether it has the bytes. Once it turns out
    that somebody does, the files that are left are taken in random order, so that two do not walk side by side. What
    remains is sent twice: the files that both have under way at the same moment, at most `jobs` at the start and at the
    end, and now and then one between; the archive knows bytes only once they are all there.

    Parameters
    ----------
    files : sequence of LocalFile
    dandiset : dandi.dandiapi.RemoteDandiset
        Its draft.
    instance : Instance
    jobs : int
        Files sent at a time, and parts of each.
    progress : callable
        Called with a task, the megabytes done and all megabytes.

    Returns
    -------
    list of PublishedFile

    Raises
    ------
    RefusedError
        If the server refuses the token, or somebody else put another file in the place of one.
    NetworkError
        If the server or the way to it fails again and again.
    InputError
        If a file changed meanwhile, or the server does not take it.
    """
    sender = _Sender(dandiset, instance, jobs, progress, files)
    done: dict[str, PublishedFile] = {}
    first: Exception | None = None
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures: list[Future[PublishedFile | None]] = [pool.submit(sender.send_next) for _ in files]
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except Exception as error:  # kept, so that the files under way can end first
                    first = first or error
                    continue
                if result is not None:
                    done[result.path] = result
        except BaseException:  # a person who interrupts does not want the rest to be sent first
            sender.stop.set()
            raise
    if first is not None:
        raise _with_state(first, files, done) from None
    return [done[local.path] for local in files]


def _with_state(error: Exception, files: Sequence[LocalFile], done: Mapping[str, PublishedFile]) -> Exception:
    """The error with what is up, what is not, and how to go on."""
    if not isinstance(error, CellTypeError):
        return error
    missing = [local.path for local in files if local.path not in done]
    message = (
        f"{error} {len(done)} of {len(files)} files are up{_listed(list(done))}; not up{_listed(missing)}. "
        "Nothing that is up is lost: run the same command again, and it goes on with the rest."
    )
    return type(error)(message)


def _listed(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f": {', '.join(paths[:_SHOWN])}{more}"


class _Sender:
    """Sends single files; knows the dandiset, which files are left, and adds up the progress of all."""

    def __init__(
        self, dandiset: Any, instance: Instance, jobs: int, progress: Progress, files: Sequence[LocalFile]
    ) -> None:
        self.dandiset, self.instance, self.jobs = dandiset, instance, jobs
        self.stop = threading.Event()
        self._remote = remote_files(dandiset)
        self._waiting = list(files)
        self._has_company = False
        self._progress, self._n_bytes = progress, sum(local.size for local in files)
        self._sent: dict[str, int] = {}
        self._lock = threading.Lock()

    def send_next(self) -> PublishedFile | None:
        """Send one of the files that wait, if it is not there; `None` if everything was stopped before it began."""
        if self.stop.is_set():
            return None
        with self._lock:
            local = self._waiting.pop(random.randrange(len(self._waiting)) if self._has_company else 0)
        try:
            return self._send(local, self._remote.get(local.path))
        except BaseException:
            self.stop.set()
            raise

    def _send(self, local: LocalFile, there: RemoteFile | None) -> PublishedFile:
        looked_again = False
        if there is None or there.etag != local.etag:  # when everything was listed; by now it may be there
            try:
                there = self._look_again(local, there)
            except Exception as error:
                raise self._told(error, local, 1) from None
        for k in range(1, TRIES + 1):
            try:
                return self._send_once(local, there)
            except Exception as error:
                status = _status(error)
                # 409: somebody was quicker at a new path. 404: somebody changed the asset, which gives it another id.
                if status in (404, 409) and self._is_ours(error) and not looked_again:
                    looked_again = True
                    try:
                        there = self._look_again(local, there)
                    except Exception as again:
                        raise self._told(again, local, k) from None
                    continue
                if not self._can_try_again(error, local) or k == TRIES:
                    raise self._told(error, local, k) from None
        message = f"{local.path} is changed by somebody else all the time; wait until they are done."
        raise RefusedError(message)

    def _send_once(self, local: LocalFile, there: RemoteFile | None) -> PublishedFile:
        ours = asset_metadata(local)
        if there is None:
            return self._result(local, "new", self._upload(local, ours, None))
        ours = with_own_keys(ours, there.metadata)
        if there.etag != local.etag:
            return self._result(local, "replaced", self._upload(local, ours, there.asset))
        if same_metadata(ours, there.metadata):
            return self._result(local, "unchanged", there.asset)
        there.asset.set_raw_metadata(ours)
        return self._result(local, "described", there.asset)

    def _upload(self, local: LocalFile, metadata: dict[str, Any], replacing: Any) -> Any:
        asset = None
        for status in local.asset.iter_upload(self.dandiset, metadata, jobs=self.jobs, replacing=replacing):
            if status["status"] == "uploading":
                self._count(local, int(status["current"]))
            asset = status.get("asset", asset)
        return asset

    def _result(self, local: LocalFile, state: State, asset: Any) -> PublishedFile:
        self._count(local, local.size)
        return PublishedFile(local.path, state, local.size, str(asset.identifier))

    def _count(self, local: LocalFile, n_bytes: int) -> None:
        with self._lock:
            self._sent[local.path] = n_bytes
            done, of = sum(self._sent.values()), max(self._n_bytes, 1)
            # Whole megabytes, and the last one only when everything is up.
            self._progress("upload (MB)", done // _MB if done < of else -(-of // _MB), -(-of // _MB))

    def _look_again(self, local: LocalFile, before: RemoteFile | None) -> RemoteFile | None:
        """What is at the place of a file now; refuses where somebody has put another file there since `before`."""
        from dandi.exceptions import NotFoundError

        try:
            asset = self.dandiset.get_asset_by_path(local.path)
            metadata = asset.get_raw_metadata()
        except NotFoundError:
            return None
        now = RemoteFile(asset, str((metadata.get("digest") or {}).get("dandi:dandi-etag", "")), metadata)
        if before is None or now.etag != before.etag:
            if now.etag != local.etag:
                raise self._taken(local)
            self._has_company = True
        return now

    def _is_ours(self, error: Exception) -> bool:
        """Whether the archive itself said this, not the storage behind it."""
        response = getattr(error, "response", None)
        return response is not None and str(response.url).startswith(self.instance.api_url)

    def _can_try_again(self, error: Exception, local: LocalFile) -> bool:
        """Whether sending the whole file once more may help: the parts came through wrong, or their URLs expired."""
        if isinstance(error, (RuntimeError, KeyError, ParseError)):
            return not self._has_changed(local)
        return _status(error) in (400, 403, 404) and not self._is_ours(error)

    def _has_changed(self, local: LocalFile) -> bool:
        try:
            return bool(local.asset.get_digest().value != local.etag)
        except OSError:
            return True

    def _taken(self, local: LocalFile) -> CellTypeError:
        message = (
            f"{local.path}: somebody else has just put another file in this place of dandiset "
            f"{self.dandiset.identifier}; it was left alone. See who, and publish again to replace theirs."
        )
        return RefusedError(message)

    def _told(self, error: Exception, local: LocalFile, n_tries: int) -> Exception:
        """Return the error as a sentence of ours; one that nobody foresaw as it is."""
        import requests

        if isinstance(error, CellTypeError):
            return error
        status = _status(error)
        if status in (401, 403) and self._is_ours(error):
            return RefusedError(
                f"The archive refused the token while {local.path} was sent ({status}): it was revoked, or you are no "
                f"owner of dandiset {self.dandiset.identifier}. Put a fresh token into {self.instance.token_variable}, "
                "or ask an owner to add you."
            )
        if not isinstance(error, requests.RequestException) and self._has_changed(local):
            return InputError(f"{local.path} was changed while it was sent; publish again when nobody writes to it.")
        if isinstance(error, (RuntimeError, KeyError, ParseError)):
            return NetworkError(
                f"{local.path} did not come through whole in {n_tries} tries ({without_secrets(str(error))}). "
                "Something between here and the archive damages it; try another network."
            )
        if status in (401, 403):
            return NetworkError(
                f"{local.path} could not be sent: the storage refused the addresses that the archive had just made for "
                f"it ({status}), {n_tries} times. They last a few hours at most: see that this machine's clock is "
                "right, and that nothing between here and the archive changes requests."
            )
        if status is not None and 400 <= status < 500 and status != 429:
            said = without_secrets(str(getattr(getattr(error, "response", None), "text", "")))[:300]
            return InputError(f"The archive does not take {local.path} ({status}): {said}.")
        if isinstance(error, requests.RequestException):
            what = f"answered {status}" if status is not None else "cut the connection or cannot be reached"
            return NetworkError(f"{local.path} could not be sent: the server {what}, again and again.")
        return error


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return int(response.status_code) if response is not None else None
