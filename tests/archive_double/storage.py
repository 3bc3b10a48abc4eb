"""The S3 side of the archive: presigned and public URLs, ranges, multipart uploads."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import json
import re
import secrets
import time
import xml.etree.ElementTree
from collections import Counter
from urllib.parse import parse_qsl, quote, urlencode
from xml.sax.saxutils import escape

from . import documents
from .messages import Reply, Request, empty_reply
from .records import Blob, Content, Upload, Zarr, multipart_etag, now
from .state import State

DOWNLOAD_LIFETIME = 6 * 3600
UPLOAD_LIFETIME = 7 * 24 * 3600
WRONG_ETAG = "0" * 32
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Storage:
    """One bucket. Objects of open dandisets may be read by everybody, all else needs a signature."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._secret = secrets.token_bytes(32)
        self._uses: Counter[str] = Counter()

    # ---- signatures

    def presign(
        self,
        method: str,
        key: str,
        extra: dict[str, str] | None = None,
        *,
        lifetime: float = DOWNLOAD_LIFETIME,
        signed_headers: str = "host",
    ) -> str:
        """URL that allows one method on one key for a while."""
        faults = self.state.faults
        faults.issued += 1
        if method == "GET" and faults.signature_lifetime is not None:
            lifetime = faults.signature_lifetime
        moment = time.gmtime()
        access_key = f"DOUBLE{faults.issued:014}"
        query = {
            **(extra or {}),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{access_key}/{time.strftime('%Y%m%d', moment)}/us-east-2/s3/aws4_request",
            "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", moment),
            "X-Amz-Expires": f"{lifetime:g}",
            "X-Amz-SignedHeaders": signed_headers,
        }
        query["X-Amz-Signature"] = self._sign(method, key, query, time.time())
        return f"{self.state.s3_url}/{self.state.bucket}/{quote(key)}?{urlencode(query, quote_via=quote)}"

    def _sign(self, method: str, key: str, query: dict[str, str], moment: float) -> str:
        # the exact time travels in the signature, so that lifetimes below a second can be tested
        stamp = f"{round(moment * 1000):012x}"
        text = "\n".join([method, key, stamp, urlencode(sorted(query.items()))])
        return stamp + hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[12:]

    def _refuse_signature(self, request: Request, key: str) -> Reply | None:
        """Why the signature of the request is refused; None if it is good."""
        query = dict(request.query)
        signature = query.pop("X-Amz-Signature")
        try:
            moment = int(signature[:12], 16) / 1000
            issued = int(query["X-Amz-Credential"].partition("/")[0].removeprefix("DOUBLE"))
            lifetime = float(query["X-Amz-Expires"])
        except (ValueError, KeyError):
            return error_reply(400, "AuthorizationQueryParametersError", "Query-string authentication is incomplete.")
        if not hmac.compare_digest(signature, self._sign(request.method, key, query, moment)):
            return error_reply(403, "SignatureDoesNotMatch", "The request signature does not match the one provided.")
        faults = self.state.faults
        self._uses[signature] += 1
        used_up = faults.signature_uses is not None and self._uses[signature] > faults.signature_uses
        if time.time() > moment + lifetime or issued <= faults.expired_up_to or used_up:
            return error_reply(403, "AccessDenied", "Request has expired")
        return None

    # ---- requests

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        with self.state.lock:
            self.state.settle(["unembargo"])
        prefix = f"/s3/{self.state.bucket}/"
        if not request.path.startswith(prefix):
            return error_reply(404, "NoSuchBucket", "The specified bucket does not exist")
        key = request.path[len(prefix) :]
        if "authorization" in request.headers:  # a token of the API has no business here
            return error_reply(400, "InvalidArgument", "Only one auth mechanism allowed, or an unsupported one.")
        signed = "X-Amz-Signature" in request.query
        if signed and (refusal := self._refuse_signature(request, key)) is not None:
            return refusal
        if request.method in ("GET", "HEAD"):
            return self._read(request, key, signed=signed)
        if not signed:
            return error_reply(403, "AccessDenied", "Access Denied")
        if request.method == "PUT":
            return self._put_zarr_file(request, key) if key.startswith("zarr/") else self._put_part(request, key)
        if request.method == "POST":
            return self._complete(request, key)
        return error_reply(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _read(self, request: Request, key: str, *, signed: bool) -> Reply:
        found = self._object(key)
        if found is None:
            # S3 hides from the public what does not exist
            return error_reply(404, "NoSuchKey", "The specified key does not exist.")
        content, etag, modified, is_public = found
        if not is_public and not signed:
            return error_reply(403, "AccessDenied", "Access Denied")
        target = f"{request.path}?{urlencode(request.query)}"
        faults = self.state.faults
        if faults.take("wrong_etag", request.method, target):
            etag = WRONG_ETAG
        headers = {
            "ETag": f'"{etag}"',
            "Last-Modified": email.utils.formatdate(modified, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if "response-content-disposition" in request.query:
            headers["Content-Disposition"] = request.query["response-content-disposition"]
        condition = request.headers.get("if-match")
        if condition is not None and condition.strip('"') != etag:
            return error_reply(412, "PreconditionFailed", "A pre-condition you specified did not hold")
        span = request.headers.get("range")
        if span is not None and faults.take("no_ranges", request.method, target):
            span = None
            del headers["Accept-Ranges"]
        limits = _range(span, content.size) if span is not None else None
        if limits is None:
            return Reply(200, headers=headers, content=content, stop=content.size)
        start, stop = limits
        if start >= stop:
            reply = error_reply(416, "InvalidRange", "The requested range is not satisfiable")
            reply.headers["Content-Range"] = f"bytes */{content.size}"
            return reply
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        return Reply(206, headers=headers, content=content, start=start, stop=stop)

    def _object(self, key: str) -> tuple[Content, str, float, bool] | None:
        """Content, ETag, time of the last change and whether everybody may read it."""
        kind, _, rest = key.partition("/")
        if kind == "blobs":
            blob: Blob | None = self.state.blobs.get(rest.rpartition("/")[2])
            if blob is None or blob.key != key:
                return None
            return blob.content, blob.etag, blob.modified, not blob.embargoed
        if kind == "zarr":
            zarr_id, _, path = rest.partition("/")
            zarr = self.state.zarrs.get(zarr_id)
            if zarr is None or path not in zarr.files:
                return None
            data = zarr.files[path]
            return Content(data), hashlib.md5(data).hexdigest(), 0.0, not zarr.embargoed
        if kind == "dandisets":
            return self._manifest(rest)
        return None

    def _manifest(self, rest: str) -> tuple[Content, str, float, bool] | None:
        """Manifests of published versions; JSON, which is YAML too."""
        match = re.fullmatch(r"(\d{6})/([^/]+)/(dandiset|assets)\.(yaml|jsonld)", rest)
        dandiset = self.state.dandisets.get(match[1]) if match else None
        if match is None or dandiset is None or match[2] == "draft" or match[2] not in dandiset.versions:
            return None
        version = dandiset.versions[match[2]]
        with self.state.lock:
            document = (
                documents.version_metadata(self.state, dandiset, version)
                if match[3] == "dandiset"
                else [documents.asset_metadata(self.state, asset) for asset in self.state.assets_of(version)]
            )
        data = json.dumps(document).encode()
        return Content(data), hashlib.md5(data).hexdigest(), 0.0, True

    # ---- uploads

    def start_upload(self, upload: Upload, key: str) -> list[dict[str, object]]:
        """The parts of an upload, each with its URL."""
        return [
            {
                "part_number": number,
                "size": size,
                "upload_url": self.presign(
                    "PUT",
                    key,
                    {"uploadId": upload.s3_id, "partNumber": str(number)},
                    lifetime=UPLOAD_LIFETIME,
                    signed_headers="content-length;host",
                ),
            }
            for number, size in enumerate(upload.part_sizes, start=1)
        ]

    @staticmethod
    def completion(parts: list[dict[str, object]]) -> str:
        """What the client sends to join the parts."""
        body = "".join(
            f"<Part><PartNumber>{part['part_number']}</PartNumber><ETag>{escape(str(part['etag']))}</ETag></Part>"
            for part in parts
        )
        declaration = '<?xml version="1.0" encoding="UTF-8"?>'
        return f'{declaration}<CompleteMultipartUpload xmlns="{NAMESPACE}">{body}</CompleteMultipartUpload>'

    def _upload(self, request: Request) -> Upload | None:
        uploads = self.state.uploads.values()
        return next((one for one in uploads if one.s3_id == request.query.get("uploadId")), None)

    def _put_part(self, request: Request, key: str) -> Reply:
        upload = self._upload(request)
        if upload is None:
            return error_reply(404, "NoSuchUpload", "The specified upload does not exist.")
        number = int(request.query["partNumber"])
        if len(request.body) != upload.part_sizes[number - 1]:
            return error_reply(403, "SignatureDoesNotMatch", "The signed content-length is another one.")
        upload.parts[number] = request.body
        upload.wrong_etags.pop(number, None)
        etag = hashlib.md5(request.body).hexdigest()
        if self.state.faults.take("wrong_etag", "PUT", f"/s3/{self.state.bucket}/{key}?partNumber={number}"):
            etag = upload.wrong_etags[number] = WRONG_ETAG
        return empty_reply(200, {"ETag": f'"{etag}"'})

    def _complete(self, request: Request, key: str) -> Reply:
        upload = self._upload(request)
        if upload is None:
            return error_reply(404, "NoSuchUpload", "The specified upload does not exist.")
        try:
            root = xml.etree.ElementTree.fromstring(request.body)
        except xml.etree.ElementTree.ParseError:
            return error_reply(400, "MalformedXML", "The XML you provided was not well-formed.")
        numbers: list[int] = []
        md5s: list[bytes] = []
        for part in root.iter(f"{{{NAMESPACE}}}Part"):
            number = int(part.findtext(f"{{{NAMESPACE}}}PartNumber", "0"))
            etag = part.findtext(f"{{{NAMESPACE}}}ETag", "").strip('"')
            md5 = hashlib.md5(upload.parts.get(number, b"")).digest()
            if number not in upload.parts or etag not in (md5.hex(), upload.wrong_etags.get(number)):
                return error_reply(400, "InvalidPart", "One or more of the specified parts could not be found.")
            numbers.append(number)
            md5s.append(md5)
        if numbers != sorted(set(numbers)):
            return error_reply(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        upload.content = Content(b"".join(upload.parts[number] for number in numbers))
        upload.content_etag = multipart_etag(md5s)
        upload.parts.clear()
        fields = {
            "Location": f"{self.state.s3_url}/{self.state.bucket}/{key}",
            "Bucket": self.state.bucket,
            "Key": key,
            "ETag": f'"{upload.content_etag}"',
        }
        body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        return _xml(200, f'<CompleteMultipartUploadResult xmlns="{NAMESPACE}">{body}</CompleteMultipartUploadResult>')

    def presign_zarr_file(self, zarr: Zarr, path: str) -> str:
        """URL to upload a file of a zarr archive to."""
        return self.presign("PUT", f"zarr/{zarr.zarr_id}/{path}", signed_headers="content-md5;host")

    @staticmethod
    def zarr_file(zarr: Zarr, path: str) -> dict[str, object]:
        """A file of a zarr archive as the list of its files has it."""
        data = zarr.files[path]
        return {"Key": path, "LastModified": now(), "ETag": hashlib.md5(data).hexdigest(), "Size": len(data)}

    def _put_zarr_file(self, request: Request, key: str) -> Reply:
        zarr_id, _, path = key.removeprefix("zarr/").partition("/")
        md5 = hashlib.md5(request.body)
        if request.headers.get("content-md5") != base64.b64encode(md5.digest()).decode():
            return error_reply(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        self.state.zarrs[zarr_id].files[path] = request.body
        return empty_reply(200, {"ETag": f'"{md5.hexdigest()}"'})


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Bytes [start, stop) of a Range header; None where S3 ignores the header."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size if int(match[2]) else 0
    start = int(match[1])
    stop = min(int(match[2]) + 1, size) if match[2] else size
    return None if match[2] and int(match[2]) < start else (start, stop)


def error_reply(status: int, code: str, message: str) -> Reply:
    """An error as S3 tells it."""
    return _xml(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>")


def _xml(status: int, body: str) -> Reply:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return Reply(status, text.encode(), {"Content-Type": "application/xml"})


def query_of(text: str) -> dict[str, str]:
    """Parameters of a query string, the last of each name."""
    return dict(parse_qsl(text, keep_blank_values=True))
