"""What `serve` checks before the studio may start: the port, and who may reach it."""

import errno
import ipaddress
import secrets
import socket
from dataclasses import dataclass

from pipelines.core.error import EaselError

MAX_PORT = 65_535


@dataclass(frozen=True)
class Address:
    """Where the studio listens."""

    host: str
    port: int

    @property
    def is_private(self) -> bool:
        """Only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, token: str | None) -> str:
        """What to open in a browser."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={token}" if token else "")

    def listen(self) -> socket.socket:
        """The listening socket, taken before anything heavy is loaded. Raises EaselError when it cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        taken = socket.socket(family)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((self.host, self.port))
            taken.listen(128)
        except OSError as error:
            taken.close()
            raise self._problem(error) from error
        return taken

    def _problem(self, error: OSError) -> EaselError:
        other = self.port + 1 if self.port < MAX_PORT else self.port - 1
        match error:
            case socket.gaierror() | OSError(errno=errno.EADDRNOTAVAIL):
                problem, fix = f"This machine has no address {self.host!r}", "use --host 127.0.0.1 or 0.0.0.0"
            case PermissionError():
                problem, fix = f"Port {self.port} needs rights this user lacks", "choose one above 1023 with --port"
            case OSError(errno=errno.EADDRINUSE):
                problem, fix = f"Port {self.port} is in use", f"stop what uses it, or start with --port {other}"
            case _:
                problem, fix = f"Easel cannot listen on {self.host}:{self.port}", "choose another --host or --port"
        return EaselError(problem, fix=fix, detail=str(error))


def new_token() -> str:
    """An access token for a studio that others can reach."""
    return secrets.token_urlsafe(18)
