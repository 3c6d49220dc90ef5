"""The settings of a server in, what it listens with out: a bound socket, and a certificate that can be read again."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from wheelhouse.errors import CertificateError, MachineError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.config import ServeSettings

_PEM = "tls-cert is a PEM file with the certificate and its chain, tls-key one with the key that belongs to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate with its chain, and its key, as PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what speaks TLS with them. Raises CertificateError where they cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load(context)
        return context

    def load(self, context: ssl.SSLContext) -> None:
        """Read them into a context, for the connections to come. Raises CertificateError."""

        def no_password() -> NoReturn:
            raise CertificateError(
                "the key has a password", where=str(self.key), hint="a server has nobody to ask: take the password off"
            )

        both = f"{self.certificate}, {self.key}"
        try:
            context.load_cert_chain(self.certificate, self.key, password=no_password)
        except FileNotFoundError as error:
            missing = self.key if self.certificate.is_file() else self.certificate
            raise CertificateError("there is no such file", where=str(missing), hint=_PEM) from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise CertificateError(f"not a certificate and its key: {reason}", where=both, hint=_PEM) from error
        except OSError as error:
            raise CertificateError(error.strerror or str(error), where=both, hint=_PEM) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to take connections, and how to let go of them."""

    host: str
    port: int
    tls: Tls | None
    prefix: str
    """Path of the public address: what a proxy leaves on a request's path, or cuts off. No slash at its end."""
    grace: float
    """Seconds that requests in flight are given at the end."""

    @classmethod
    def of(cls, serve: ServeSettings, base: Path) -> Listening:
        """Take the settings; paths are relative to `base`. Raises UsageError, CertificateError."""
        if bool(serve.tls_cert) != bool(serve.tls_key):
            lacking = "tls-key" if serve.tls_cert else "tls-cert"
            raise UsageError(f"{lacking} is missing: a certificate and its key go together", where="serve")
        tls = Tls(certificate=base / serve.tls_cert, key=base / serve.tls_key) if serve.tls_cert else None
        if tls is not None:
            tls.context()
        return cls(
            host=serve.host,
            port=serve.port,
            tls=tls,
            prefix=urlsplit(serve.url).path.rstrip("/"),
            grace=serve.grace,
        )

    def bind(self) -> socket.socket:
        """Take the address, for port 0 any that is free. Listening begins with the server. Raises MachineError."""
        taken = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((self.host, self.port))
        except OSError as error:
            taken.close()
            raise MachineError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error}",
                hint="another program may be there: choose another with --port, or 0 for any that is free",
            ) from error
        return taken

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.tls else "http"
