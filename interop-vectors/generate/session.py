"""One session with fixed ephemerals: transcript, keys, and frames of every type."""

from . import envelope as e
from .encoding import Raw, encode, sequence
from .hashing import hkdf256, hmac256, sha256
from .keys import AGREEMENTS, SIGNERS, blob

CHALLENGE = blob("challenge", 16)
SESSION_ID = blob("session", 4)
CHANNEL = sha256(encode(["postern-channel", e.ROOT, e.TENANT, e.DEVICE]))[:16]
TOKEN = blob("token", 8)
SECRET = blob("enrol secret", 32)
UP_TYPES, DOWN_TYPES = (0, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13), (1, 5, 8, 15)
TENANT_ID = sha256(encode(["postern-tenant", e.ROOT, e.TENANT]))[:16]
MAILBOX_ID = sha256(encode(["postern-mailbox", e.ROOT, SIGNERS["mailbox-2"].thumbprint]))[:16]


class Session:
    """The state that both ends share after a hello."""

    def __init__(self, suffix="", mailbox="mailbox", challenge=CHALLENGE, session_id=SESSION_ID, channel=CHANNEL):
        self.device = AGREEMENTS["ephemeral-device" + suffix]
        self.mailbox = AGREEMENTS["ephemeral-mailbox" + suffix]
        self.mailbox_key = SIGNERS[mailbox]
        self.challenge, self.session_id, self.channel = challenge, session_id, channel
        self.preimage = encode([
            "postern/1 session", self.mailbox_key.thumbprint, challenge, self.device.public, self.mailbox.public, channel,
        ])
        self.transcript = sha256(self.preimage)
        self.shared = self.device.shared(self.mailbox.public)
        self.key_up = hkdf256(self.transcript, self.shared, b"postern/1 up")
        self.key_down = hkdf256(self.transcript, self.shared, b"postern/1 down")

    def frame(self, kind, *items, body=None):
        """Returns a session frame with its tag."""
        body = sequence(*items) if body is None else body
        return self.sealed(bytes([kind]) + self.session_id + body)

    def sealed(self, untagged):
        """Returns bytes with the tag of their direction appended."""
        key = self.key_down if untagged[0] in DOWN_TYPES else self.key_up
        return untagged + hmac256(key, untagged)[:8]

    def hello(self, **change):
        """Returns the envelope of the hello."""
        payload = encode([change.pop("challenge", self.challenge), change.pop("ephemeral", self.device.public)])
        signer = SIGNERS[change.pop("signer", "device-a")]
        return e.Envelope(signer, e.HELLO, (0, 0, 0), change.pop("digest", self.transcript), payload, **change)

    def welcome(self, **change):
        """Returns the envelope of the welcome."""
        signer = SIGNERS[change.pop("signer", self.mailbox_key.name)]
        payload = encode([self.session_id, 1, change.pop("age", 86400), *change.pop("time", [])])
        return e.Envelope(signer, e.WELCOME, (0, 0, 0), change.pop("digest", self.transcript), payload, **change)


def plain(kind, *items):
    """Returns a plain frame."""
    return bytes([kind]) + sequence(*items)


def challenge_frame(session):
    """Returns the challenge of a session."""
    return plain(19, session.challenge, session.mailbox.public, session.mailbox_key.thumbprint)


def enrol_mac(request, secret=SECRET):
    """Returns the mac of an enrolment request."""
    return hmac256(secret, b"postern/1 enrol" + request.message_id)


def item(message):
    """Returns [plane or null, envelope] for a frame."""
    return [message.plane, Raw(message.untagged)]


def raw(message):
    """Returns an untagged envelope, ready to stand in a frame."""
    return Raw(message.untagged)
