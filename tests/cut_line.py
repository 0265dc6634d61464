"""A line between two processes on loopback that is cut once, in the middle of an answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class CutLine:
    """Passes connections on to a server; the first answer that is longer than `after_bytes` breaks
    there. What clients sent is kept, for the test to read.
    """

    def __init__(self, server: str, *, after_bytes: int) -> None:
        parts = urlsplit(server)
        assert parts.hostname is not None
        self._server = (parts.hostname, parts.port or 80)
        self._after_bytes = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._asked = bytearray()
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def asked(self) -> str:
        """All that was sent to the server, of all connections."""
        with self._lock:
            return self._asked.decode("latin-1")

    def run(self) -> None:
        """Pass on until `close`."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for work in (self._there, self._back):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                with self._lock:
                    self._asked += data
                server.sendall(data)
        _hang_up(server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                passed += len(data)
                with self._lock:
                    is_cut = passed > self._after_bytes and not self.cuts
                    self.cuts += is_cut
                if is_cut:
                    break
                client.sendall(data)
        _hang_up(client)
        _hang_up(server)


@contextlib.contextmanager
def cut_line(server: str, *, after_bytes: int) -> Iterator[CutLine]:
    """Such a line for as long as the block lasts."""
    line = CutLine(server, after_bytes=after_bytes)
    thread = threading.Thread(target=line.run, name="cut-line", daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.close()
        thread.join(10)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
