"""The least proxies that a test can use: one opens tunnels and counts them, one looks into them with a CA of its own."""

import datetime
import ipaddress
import pathlib
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class ConnectProxy:
    """Listens on loopback while it is entered."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.tunnels = 0
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        method, target, _ = head.split(b" ", 2)
        assert method == b"CONNECT", "everything goes through a tunnel"
        host, port = target.decode().rsplit(":", 1)
        try:
            server = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            client, server = self._look_into(client, server)
        except OSError:
            client.close()  # as a proxy does whose target is gone, or whose client does not trust it
            return
        self.tunnels += 1
        threading.Thread(target=self._copy, args=(client, server, bytes), daemon=True).start()
        threading.Thread(target=self._copy, args=(server, client, self._change), daemon=True).start()

    def _look_into(self, client: socket.socket, server: socket.socket):
        return client, server

    def _change(self, data: bytes) -> bytes:
        return data

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, change) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass


class InspectingProxy(ConnectProxy):
    """Ends the client's TLS with a certificate of its own CA, reads everything, and may change a byte of an answer."""

    def __init__(self, folder: pathlib.Path):
        self.ca = folder / "proxy-ca.pem"
        self._leaf = folder / "proxy-leaf.pem"
        self._write_certificates()
        self.changes_left = 0

    def _write_certificates(self) -> None:
        ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = self._certificate("test proxy CA", ca_key.public_key(), "test proxy CA", ca_key, True)
        leaf = self._certificate("127.0.0.1", leaf_key.public_key(), "test proxy CA", ca_key, False)
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        secret = leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._leaf.write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + secret)

    @staticmethod
    def _certificate(subject: str, key, issuer: str, issuer_key, is_ca: bool) -> x509.Certificate:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(names[1], names[0], key, x509.random_serial_number(), now - day, now + day)
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def _look_into(self, client: socket.socket, server: socket.socket):
        inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inside.load_cert_chain(self._leaf)
        outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outside.check_hostname, outside.verify_mode = False, ssl.CERT_NONE  # it reads; whom it reads is all the same
        return inside.wrap_socket(client, server_side=True), outside.wrap_socket(server)

    def _change(self, data: bytes) -> bytes:
        if self.changes_left and len(data) > 300:
            self.changes_left -= 1
            return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
        return data
