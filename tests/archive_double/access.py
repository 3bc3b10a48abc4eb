"""What the routes of the API share: who may do what, and pages of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from .messages import Refusal, Reply, Request, json_reply
from .records import Asset, Dandiset, User, Version
from .state import State
from .storage import Storage

NOT_FOUND = {"detail": "Not found."}
NO_CREDENTIALS = {"detail": "Authentication credentials were not provided."}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}
DRAFT_ONLY = "Only draft versions can be modified."


class Routes:
    """A group of routes of the API."""

    def __init__(self, state: State, storage: Storage) -> None:
        self.state = state
        self.storage = storage

    # ---- who may do what

    def authenticate(self, request: Request) -> None:
        """Find the user of the request; a token that nobody has is refused (401)."""
        header = request.headers.get("authorization")
        if header is None:
            return
        scheme, _, token = header.partition(" ")
        user = next((one for one in self.state.users.values() if one.token == token.strip()), None)
        if scheme.lower() not in ("token", "bearer") or user is None or self.state.faults.token_is_refused(user.token):
            raise Refusal(401, {"detail": "Invalid token."}, CHALLENGE)
        request.user = user

    @staticmethod
    def user_of(request: Request) -> User:
        """The user, who must have sent a token."""
        if request.user is None:
            raise Refusal(401, NO_CREDENTIALS, CHALLENGE)
        return request.user

    def visible(self, request: Request, identifier: str) -> Dandiset:
        """A dandiset that the user may read."""
        found = self.state.dandisets.get(identifier)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        if not found.is_open:
            self.check_owner(request, found)
        return found

    def owned(self, request: Request, identifier: str) -> Dandiset:
        """A dandiset that the user may change."""
        self.user_of(request)
        found = self.visible(request, identifier)
        self.check_owner(request, found)
        return found

    def check_owner(self, request: Request, dandiset: Dandiset) -> None:
        """Refuse (403) who is no owner."""
        if self.user_of(request).username not in dandiset.owners:
            raise Refusal(403, {"detail": "You do not have permission to perform this action."})

    def version_of(self, request: Request, dandiset: str, version: str) -> tuple[Dandiset, Version]:
        """A version that the user may read, and its dandiset."""
        parent = self.visible(request, dandiset)
        if version not in parent.versions:
            raise Refusal(404, NOT_FOUND)
        return parent, parent.versions[version]

    def owned_draft(self, request: Request, dandiset: str, version: str) -> Dandiset:
        """A dandiset whose draft the user may change; a published version is refused (405)."""
        parent = self.owned(request, dandiset)
        if version not in parent.versions:
            raise Refusal(404, NOT_FOUND)
        if version != "draft":
            raise Refusal(405, DRAFT_ONLY)
        return parent

    def asset_of(self, request: Request, asset: str, dandiset: str | None, version: str | None) -> Asset:
        """An asset that the user may read."""
        found = self.state.assets.get(asset)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        if dandiset is not None and version is not None:
            if asset not in self.version_of(request, dandiset, version)[1].asset_ids:
                raise Refusal(404, NOT_FOUND)
        elif self.state.is_embargoed(found):
            user = self.user_of(request)
            if not any(user.username in one.owners for one in self.state.dandisets_with(asset)):
                raise Refusal(403, {"detail": "You do not have permission to perform this action."})
        return found

    # ---- pages

    def page(self, request: Request, items: list[Any], describe: Callable[[Any], Any]) -> Reply:
        """One page of a list."""
        try:
            size = min(max(int(request.query.get("page_size", 100)), 1), 1000)
            number = int(request.query.get("page", 1))
        except ValueError:
            raise Refusal(404, {"detail": "Invalid page."}) from None
        if number < 1 or (number > 1 and (number - 1) * size >= len(items)):
            raise Refusal(404, {"detail": "Invalid page."})

        def link(page: int) -> str:
            return f"{self.state.url}{request.path}?{urlencode({**request.query, 'page': page})}"

        document = {
            # counting is costly, so only the first page has it
            "count": len(items) if number == 1 else None,
            "next": link(number + 1) if number * size < len(items) else None,
            "previous": link(number - 1) if number > 1 else None,
            "results": [describe(item) for item in items[(number - 1) * size : number * size]],
        }
        return json_reply(document)
