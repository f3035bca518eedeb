"""Downloads published weights into torch's own cache, complete and checked or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit

import torch

from gradcam_cli.errors import ModelError
from gradcam_cli.text import explain_os_error, printable, quoted

Progress = Callable[[int, int], None]
"""Called with (bytes done, total bytes); the total is 0 where the server does not state it."""

HINT = "use {model} tiny (bundled), or {weights} FILE with a checkpoint you have"
TIMEOUT = 5.0
"""Seconds that a connection, and then each read, may take."""
SCHEMES = ("https",)
_CHUNK = 1 << 18


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect that would leave the allowed schemes."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in SCHEMES:
            raise HTTPError(newurl, code, "redirected away from https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def cache_path(url: str) -> Path:
    """Return the path where torch caches, or would cache, the file of ``url`` (honours ``TORCH_HOME``)."""
    return Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])


def fetch(url: str, digest: str | None, progress: Progress | None = None) -> Path:
    """Return the cached file of ``url``, downloaded first when it is missing.

    Args:
        url: https address.
        digest: first hexadecimal digits of the file's SHA-256, compared after a download.
        progress: called with (bytes done, total bytes).

    Raises:
        ModelError: the file is neither cached nor downloadable; nothing is left behind. There is no second attempt.
    """
    path = cache_path(url)
    if path.is_file():
        return path
    try:
        if urlsplit(url).scheme not in SCHEMES:
            raise ValueError("not an https address")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                _download(url, file, digest, progress)
            os.replace(part, path)
        finally:
            Path(part).unlink(missing_ok=True)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ModelError(f"cannot download {quoted(path.name)}: {printable(_reason(error))}", HINT) from error
    return path


def _reason(error: BaseException) -> str:
    """Return an error's message: urllib wraps that of the system, which begins with a number."""
    cause = getattr(error, "reason", error)
    return explain_os_error(cause)[0] if isinstance(cause, OSError) else str(cause) or type(cause).__name__


def _download(url: str, file: IO[bytes], digest: str | None, progress: Progress | None) -> None:
    """Copy ``url`` into ``file``; raise ValueError when it is cut short or is not the expected file."""
    request = urllib.request.Request(url, headers={"User-Agent": "gradcam"})
    seen = hashlib.sha256()
    done = 0
    try:
        response = urllib.request.build_opener(_StayOnHttps).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()  # it holds the connection
        raise
    with response:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            seen.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if done < total:
        raise ValueError(f"the connection ended after {done} of {total} bytes")
    if digest is not None and not seen.hexdigest().startswith(digest):
        raise ValueError("what arrived is not the expected file (its SHA-256 differs)")
