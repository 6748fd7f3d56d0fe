"""The way out: one frame up, one frame down, as an ordinary HTTPS POST.

A proxy is asked by CONNECT. TLS authenticates the hop and nothing else; extra CAs let an inspecting proxy read
what passes, and change nothing about whom the device believes.

Implements spec/postern.md#http-binding, the client's part.
"""

import ssl
import urllib.parse

import urllib3

from .exchange import TransportError, read_exchange
from .limits import FRAME_BYTES_MAX

CONNECT_S_MAX = 10  # seconds to reach a proxy or mailbox; arbitrary
ANSWER_S_MAX = 20  # seconds for an answer beyond the hold; arbitrary


class Transport:
    """Posts frames to mailboxes, by a proxy or directly."""

    def __init__(self, proxy: str | None = None, ca_files=(), join_ca: bytes | None = None):
        context = ssl.create_default_context()
        for file in ca_files:
            context.load_verify_locations(cafile=file)
        if join_ca is not None:
            context.load_verify_locations(cadata=join_ca)
        options = {"ssl_context": context, "retries": False, "maxsize": 2, "block": False}
        if proxy is None:
            self._pool = urllib3.PoolManager(**options)
            return
        user = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=urllib.parse.unquote(user)) if user else None
        self._pool = urllib3.ProxyManager(proxy, proxy_headers=headers, **options)

    def exchange(self, url: str, frame: bytes, hold_s: float = 0) -> bytes:
        """Gives the frame of the answer; what is no Postern is refused by name."""
        address = url.rstrip("/") + "/postern/1"
        timeout = urllib3.Timeout(connect=CONNECT_S_MAX, read=hold_s + ANSWER_S_MAX)
        headers = {"Content-Type": "application/octet-stream"}
        try:
            answer = self._pool.request(
                "POST", address, body=frame, headers=headers, timeout=timeout, redirect=False, preload_content=False
            )
            body = answer.read(FRAME_BYTES_MAX + 1, decode_content=True)
            answer.drain_conn() if len(body) <= FRAME_BYTES_MAX else answer.close()
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransportError(type(error).__name__) from error
        return read_exchange(answer.status, body)
