"""An address and a sha256 in, a verified file in the cache out: the only module that speaks HTTP.

Bytes are hashed while they stream into a temporary file, and get their name in the cache (their hash) by one rename.
Whatever is not what was asked for is deleted. Proxies, certificate bundles and `.netrc` are taken from the environment,
as by pip, curl and requests.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from wheelhouse.errors import SourceError, WheelhouseError
from wheelhouse.locking import always, holding

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    import urllib3

    from wheelhouse.locking import GoOn

    #: Is told the bytes so far, and the total where the server says it.
    Progress = Callable[[int, int | None], None]

GIBIBYTE = 2**30
#: No sdist or wheel that is not a mistake is larger.
LIMIT = 4 * GIBIBYTE
_PAGE_LIMIT = 256 * 2**20
_CHUNK = 2**18
_ATTEMPTS = 4
#: Connections to one host that are kept for the next question.
_KEPT_OPEN = 8
_TRY_AGAIN = (429, 500, 502, 503, 504)
_OK, _NOT_FOUND, _GONE = 200, 404, 410
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


class NotThereError(SourceError):
    """The server says that there is nothing at this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of an index."""

    data: bytes
    url: str
    """Where it came from in the end: links in it are relative to this."""
    content_type: str


def verified(sha256: str, *, cache: Path) -> Path | None:
    """Return the path of the file with this hash where the cache has it, whole; a spoilt one is removed."""
    path = _place(cache, sha256)
    return path if _is(path, sha256) else None


def download(
    url: str,
    *,
    sha256: str,
    cache: Path,
    what: str,
    raises: type[WheelhouseError] = SourceError,
    limit: int = LIMIT,
    progress: Progress | None = None,
    go_on: GoOn = always,
) -> Path:
    """Return the path of the file with this hash in the cache, downloading it where it is not there yet.

    One download for any number of askers, threads or processes. `what` names the file in messages; `go_on` is
    asked at each piece of it, and raises where it is enough. Raises `raises` where the file is not to be had, or is
    another.
    """
    target = _place(cache, sha256)
    if _is(target, sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with holding(target.with_name(f".{sha256}.lock"), go_on):
        if _is(target, sha256):
            return target
        try:
            _stream(url, target, sha256=sha256, what=what, limit=limit, progress=_watching(progress, go_on))
        except SourceError as error:
            if isinstance(error, raises):
                raise
            raise raises(error.message, where=error.where, hint=error.hint) from error
    return target


def read_page(url: str, *, accept: str, pool: urllib3.PoolManager | None = None) -> Page:
    """Read a page into memory, over the connections of `pool` (`connections`) where many are read.

    Raises NotThereError (404, 410) and SourceError.
    """
    if urlsplit(url).scheme == "file":
        path = _local_path(url)
        path = path / "index.html" if path.is_dir() else path
        try:
            return Page(data=path.read_bytes(), url=path.as_uri(), content_type="text/html")
        except FileNotFoundError as error:
            raise NotThereError("there is no such file", where=str(path)) from error
    data = bytearray()

    def start() -> Callable[[bytes], None]:
        data.clear()
        return data.extend

    final, content_type = _get(url, start, accept=accept, limit=_PAGE_LIMIT, progress=None, shared=pool)
    return Page(data=bytes(data), url=final, content_type=content_type)


def without_secrets(url: str) -> str:
    """Return the address without user name and password, for messages and files."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _place(cache: Path, sha256: str) -> Path:
    return cache / "files" / sha256[:2] / sha256


def _is(path: Path, sha256: str) -> bool:
    """Say whether the file is there and whole; a spoilt one is removed."""
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return True
    except FileNotFoundError:
        return False
    path.unlink(missing_ok=True)
    return False


def _stream(url: str, target: Path, *, sha256: str, what: str, limit: int, progress: Progress | None) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            digest = hashlib.sha256()

            def start() -> Callable[[bytes], None]:
                nonlocal digest
                file.seek(0)
                file.truncate()
                digest = hashlib.sha256()
                return take

            def take(chunk: bytes) -> None:
                file.write(chunk)
                digest.update(chunk)

            if urlsplit(url).scheme == "file":
                _copy(url, start(), limit=limit)
            else:
                _get(url, start, accept="*/*", limit=limit, progress=progress)
            size = file.tell()
        actual = digest.hexdigest()
        if actual != sha256:
            raise SourceError(
                f"{what} is not what it should be: expected sha256 {sha256}, actual {actual} ({size} bytes)",
                where=without_secrets(url),
                hint="nothing was kept; if upstream replaced the file, find out why before you change the recipe",
            )
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _watching(progress: Progress | None, go_on: GoOn) -> Progress:
    """Return what is told of each piece, and asks whether to go on."""

    def told(done: int, total: int | None) -> None:
        go_on()
        if progress is not None:
            progress(done, total)

    return told


def _copy(url: str, take: Callable[[bytes], None], *, limit: int) -> None:
    path = _local_path(url)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise _too_large(str(path), limit)
            while chunk := file.read(_CHUNK):
                take(chunk)
    except FileNotFoundError as error:
        raise NotThereError("there is no such file", where=str(path)) from error
    except IsADirectoryError as error:
        raise SourceError("this is a folder, not a file", where=str(path)) from error


def _local_path(url: str) -> Path:
    from urllib.request import url2pathname  # noqa: PLC0415 - start-up time

    return Path(url2pathname(urlsplit(url).path))


def _get(
    url: str,
    start: Callable[[], Callable[[bytes], None]],
    *,
    accept: str,
    limit: int,
    progress: Progress | None,
    shared: urllib3.PoolManager | None = None,
) -> tuple[str, str]:
    """Stream the body of `url`; return the last address and the content type.

    A body that breaks off is asked for anew, and `start` is called once an attempt: urllib3's Retry counts and waits
    for both kinds of failure, but repeats by itself only what fails before the body.
    """
    import urllib3  # noqa: PLC0415 - start-up time

    retries = urllib3.Retry(
        total=_ATTEMPTS - 1,
        backoff_factor=0.3,
        backoff_jitter=0.1,
        status_forcelist=_TRY_AGAIN,
        raise_on_status=False,
        respect_retry_after_header=True,
    )
    with nullcontext(shared) if shared is not None else connections(url) as pool, _named(url):
        while True:
            response = pool.request(
                "GET",
                url,
                headers=_headers(url, accept),
                retries=retries,
                preload_content=False,
                decode_content=False,
            )
            retries = response.retries or retries
            try:
                _expect_ok(response, url)
                total = _length(response)
                if total is not None and total > limit:
                    raise _too_large(without_secrets(url), limit)
                take, done = start(), 0
                # `read1` gives what there is: a server that sends a byte a second is noticed.
                while chunk := response.read1(_CHUNK):
                    done += len(chunk)
                    if done > limit:
                        raise _too_large(without_secrets(url), limit)
                    take(chunk)
                    if progress is not None:
                        progress(done, total)
            except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError) as error:
                retries = retries.increment("GET", url, error=error, _pool=None)
                retries.sleep()
            else:
                return urljoin(url, response.geturl() or url), response.headers.get("Content-Type", "")
            finally:
                response.close()


def _headers(url: str, accept: str) -> dict[str, str]:
    from wheelhouse import __version__  # noqa: PLC0415 - start-up time

    agent = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": f"wheelhouse/{__version__}"}
    return agent | authorization(url)


def authorization(url: str) -> dict[str, str]:
    """Return the header with the credentials that an address has in itself, or `.netrc` has for its host."""
    import urllib3  # noqa: PLC0415 - start-up time

    parts = urlsplit(url)
    user, password = parts.username, parts.password
    if user is None and parts.hostname is not None:
        import netrc  # noqa: PLC0415 - likewise

        with suppress(OSError, netrc.NetrcParseError):
            if found := netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname):
                user, password = found[0], found[2]
    if user is None:
        return {}
    return dict(urllib3.make_headers(basic_auth=f"{unquote(user)}:{unquote(password or '')}"))


@contextmanager
def connections(
    url: str, *, connect: float = 15.0, read: float = 60.0, certificates: str | None = None, redirects: bool = True
) -> Iterator[urllib3.PoolManager]:
    """Give connections to the host of `url` as the environment wants them: proxy, certificates. Safe for threads.

    `connect` and `read` are seconds of silence; `certificates` names a bundle of them besides. Over http, who follows
    no `redirects` needs none, and they take a fiftieth of a second to load.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - start-up time

    import urllib3  # noqa: PLC0415 - start-up time

    timeout = urllib3.Timeout(connect=connect, read=read)
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    context = _certificates(certificates) if redirects or proxy or parts.scheme == "https" else None
    if proxy and not proxy_bypass(parts.hostname or ""):
        user = urlsplit(proxy)
        login = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        with urllib3.ProxyManager(
            proxy, proxy_headers=headers, ssl_context=context, timeout=timeout, maxsize=_KEPT_OPEN
        ) as manager:
            yield manager
    else:
        with urllib3.PoolManager(ssl_context=context, timeout=timeout, maxsize=_KEPT_OPEN) as manager:
            yield manager


def _certificates(given: str | None) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - start-up time

    context = ssl.create_default_context()
    for bundle in (given, *map(os.environ.get, _BUNDLES)):
        if bundle:
            with suppress(OSError):
                context.load_verify_locations(**{"capath" if Path(bundle).is_dir() else "cafile": bundle})
    return context


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Turn urllib3's errors into one of ours that a person can act on."""
    import urllib3  # noqa: PLC0415 - start-up time

    host = urlsplit(url).hostname
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        cause = getattr(reason, "original_error", reason)
        raise SourceError(
            f"the download from {host} failed: {_sentence(cause)}",
            where=without_secrets(url),
            hint="check the network, HTTPS_PROXY and SSL_CERT_FILE; what is in the cache already needs no network",
        ) from error


def _sentence(error: object) -> str:
    """Return urllib3's reason without the address of the object that it names."""
    text = str(error) or type(error).__name__
    return text.rpartition(">: ")[2] or text


def _expect_ok(response: urllib3.BaseHTTPResponse, url: str) -> None:
    if response.status == _OK:
        return
    message = f"the server answered {response.status} {response.reason or ''}".rstrip()
    if response.status in {_NOT_FOUND, _GONE}:
        raise NotThereError(message, where=without_secrets(url), hint="check the address in the recipe and the version")
    hint = {
        401: "the server wants a user name and password: put them in ~/.netrc",
        403: "the server does not let you read this: check the credentials in ~/.netrc",
    }.get(response.status, "the server has a problem of its own: try again later")
    raise SourceError(message, where=without_secrets(url), hint=hint)


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _too_large(where: str, limit: int) -> SourceError:
    return SourceError(
        f"the file is larger than {limit} bytes, which no source is", where=where, hint="check the address"
    )
