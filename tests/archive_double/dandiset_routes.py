"""Routes of the API for the archive itself, its users, dandisets and versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import documents, search
from .access import Routes
from .messages import Refusal, Reply, Request, empty_reply, json_reply
from .records import OPEN, PUBLISHED, Dandiset, User


class DandisetRoutes(Routes):
    """Archive, users, dandisets and versions."""

    # ---- archive and users

    def info(self, request: Request) -> Reply:
        """What the archive says about itself."""
        return json_reply(documents.info(self.state))

    def token(self, request: Request) -> Reply:
        """The token of the request."""
        return json_reply(self.user_of(request).token)

    def me(self, request: Request) -> Reply:
        """Who the token belongs to."""
        return json_reply(_person(self.user_of(request)))

    # ---- dandisets

    def list_dandisets(self, request: Request) -> Reply:
        """Dandisets that fit the filters."""
        user = request.user
        found: list[Dandiset] = []
        for dandiset in self.state.dandisets.values():
            is_mine = user is not None and user.username in dandiset.owners
            if not dandiset.is_open and not (is_mine and request.flag("embargoed", default=False)):
                continue
            if request.query.get("user") == "me" and not is_mine:
                continue
            if not request.flag("draft", default=True) and not dandiset.published:
                continue
            is_empty = not any(version.asset_ids for version in dandiset.versions.values())
            if is_empty and not request.flag("empty", default=True):
                continue
            found.append(dandiset)
        found = search.find(self.state, found, request.query.get("search", ""))
        order = request.query.get("ordering") or "id"
        keys: dict[str, Callable[[Dandiset], Any]] = {
            "id": lambda one: one.identifier,
            "name": lambda one: one.draft.name,
            "modified": lambda one: one.draft.modified,
            "size": lambda one: sum(self.state.size_of(asset) for asset in self.state.assets_of(one.draft)),
        }
        key = keys.get(order.lstrip("-"), keys["id"])
        found.sort(key=key, reverse=order.startswith("-"))
        return self.page(request, found, lambda one: documents.listed_dandiset(self.state, one))

    def create_dandiset(self, request: Request) -> Reply:
        """A new dandiset of the user."""
        user = self.user_of(request)
        body = request.json()
        missing = {key: ["This field is required."] for key in ("name", "metadata") if key not in body}
        if missing:
            raise Refusal(400, missing)
        embargo = request.flag("embargo", default=False)
        dandiset = self.state.create_dandiset(body["name"], body["metadata"], user, embargo=embargo)
        return json_reply(documents.dandiset(self.state, dandiset))

    def dandiset(self, request: Request, dandiset: str) -> Reply:
        """One dandiset."""
        return json_reply(documents.dandiset(self.state, self.visible(request, dandiset)))

    def delete_dandiset(self, request: Request, dandiset: str) -> Reply:
        """Delete a dandiset that was never published."""
        found = self.owned(request, dandiset)
        if found.published:
            raise Refusal(403, "Cannot delete dandisets with published versions.")
        del self.state.dandisets[dandiset]
        return empty_reply(204)

    def owners(self, request: Request, dandiset: str) -> Reply:
        """Owners of a dandiset."""
        found = self.visible(request, dandiset)
        return json_reply([_person(self.state.users[name]) for name in found.owners])

    def change_owners(self, request: Request, dandiset: str) -> Reply:
        """Replace the owners of a dandiset."""
        found = self.owned(request, dandiset)
        names = [str(person["username"]) for person in request.json()]
        if not names:
            raise Refusal(400, ["Cannot remove all draft owners"])
        unknown = [name for name in names if name not in self.state.users]
        if unknown:
            raise Refusal(400, [f"User {unknown[0]} not found"])
        found.owners = names
        return json_reply([_person(self.state.users[name]) for name in names])

    def unembargo(self, request: Request, dandiset: str) -> Reply:
        """Open an embargoed dandiset."""
        found = self.owned(request, dandiset)
        if found.is_open:
            raise Refusal(400, "Dandiset not embargoed")
        if any(upload.dandiset == dandiset for upload in self.state.uploads.values()):
            raise Refusal(400, "Dandiset has active uploads")
        self.state.start_unembargo(found)
        return empty_reply(200)

    # ---- versions

    def list_versions(self, request: Request, dandiset: str) -> Reply:
        """Versions, the draft first unless ordered otherwise."""
        found = self.visible(request, dandiset)
        versions = sorted(found.versions.values(), key=lambda one: one.number)
        if request.query.get("order", "").startswith("-"):
            versions.reverse()
        return self.page(request, versions, lambda one: documents.version_with_dandiset(self.state, found, one))

    def version(self, request: Request, dandiset: str, version: str) -> Reply:
        """Metadata of a version."""
        return json_reply(documents.version_metadata(self.state, *self.version_of(request, dandiset, version)))

    def version_info(self, request: Request, dandiset: str, version: str) -> Reply:
        """A version with its validation errors."""
        return json_reply(documents.version_info(self.state, *self.version_of(request, dandiset, version)))

    def change_version(self, request: Request, dandiset: str, version: str) -> Reply:
        """Replace the metadata of the draft."""
        parent = self.owned_draft(request, dandiset, version)
        body = request.json()
        self.state.change_draft(parent, body["name"], body["metadata"])
        return json_reply(documents.version_info(self.state, parent, parent.draft))

    def publish(self, request: Request, dandiset: str, version: str) -> Reply:
        """Publish the draft."""
        parent = self.owned_draft(request, dandiset, version)
        if parent.embargo_status != OPEN:
            raise Refusal(400, "Operation only allowed on OPEN dandisets")
        if parent.draft.status == PUBLISHED:
            raise Refusal(400, "There have been no changes to the draft version since the last publish.")
        if any(asset.zarr_id for asset in self.state.assets_of(parent.draft)):
            raise Refusal(400, "Cannot publish dandisets which contain zarrs")
        if not self.state.is_publishable(parent):
            raise Refusal(400, "Dandiset metadata or asset metadata is not valid")
        self.state.start_publication(parent)
        return empty_reply(202)


def _person(user: User) -> dict[str, Any]:
    name = f"{user.first_name} {user.last_name}"
    return {"admin": False, "username": user.username, "name": name, "status": "APPROVED", "email": user.username}
