"""06-sessions: transcripts and keys with fixed ephemerals, and each step of the hello."""

from . import curve
from . import envelope as e
from .collection import Collection
from .encoding import encode
from .hashing import sha256
from .keys import AGREEMENTS, SIGNERS, blob
from .session import CHANNEL, Session, challenge_frame, plain, raw

SESSION = Session()
SPEC = "#hello"


def opened(session):
    """Returns everything that both ends compute."""
    return {
        "device_seed": session.device.seed, "device_ephemeral": session.device.public, "mailbox_seed": session.mailbox.seed,
        "mailbox_ephemeral": session.mailbox.public, "mailbox_thumbprint": session.mailbox_key.thumbprint, "challenge": session.challenge,
        "channel_id": session.channel, "preimage": session.preimage, "transcript": session.transcript, "shared": session.shared,
        "key_up": session.key_up, "key_down": session.key_down,
    }


def small_publics():
    """Returns X25519 public keys that give an all-zero secret (the twist has order 4 at most beside its prime)."""
    eight = [1, 325606250916557431795983626356110631294008115727848805560023387167927233504]
    rest = 39382357235489614581723060781553021112529911719440698176882885853963445705823
    values = [0, *eight, rest, curve.P - 1, curve.P, curve.P + 1]
    publics = [value.to_bytes(32, "little") for value in values]
    for public in publics:
        try:
            SESSION.mailbox.shared(public)
        except ValueError:
            continue
        raise AssertionError(public.hex())
    return publics


def transcripts():
    """Returns the file of derivations."""
    file = Collection("06-sessions/transcript.json", "session.derive", "transcript, shared secret and keys from fixed ephemerals")
    other = sha256(encode(["postern-channel", e.ROOT, e.TENANT, "press-8"]))[:16]
    for name, session in (
        ("tests", SESSION), ("other-ephemerals", Session("-2", challenge=blob("challenge 2", 16))),
        ("other-mailbox", Session(mailbox="mailbox-2")), ("p256-mailbox", Session(mailbox="mailbox-p256")), ("other-channel", Session(channel=other)),
    ):
        file.valid(f"derive-{name}", SPEC, "both ends reach the same keys", ["x25519"], **opened(session))
    for index, public in enumerate(small_publics()):
        file.invalid(
            f"derive-small-ephemeral-{index}", "ephemeral-invalid", SPEC, "the shared secret is all zero", ["x25519"],
            device_ephemeral=public, mailbox_seed=SESSION.mailbox.seed, mailbox_thumbprint=SESSION.mailbox_key.thumbprint,
            mailbox_ephemeral=SESSION.mailbox.public, challenge=SESSION.challenge, channel_id=CHANNEL,
        )
    return file


def challenges():
    """Returns the file of challenges as the device sees them."""
    file = Collection("06-sessions/challenge.json", "session.challenge", "the device checks the mailbox of a challenge against its bundle")
    mine, other = SIGNERS["mailbox"].thumbprint, SIGNERS["mailbox-2"].thumbprint
    frame = challenge_frame(SESSION)
    file.valid("challenge-of-the-mailbox", SPEC, "listed alone", frame=frame, mailboxes=[mine])
    file.valid("challenge-of-one-of-two", SPEC, "listed second", frame=frame, mailboxes=[other, mine])
    p256 = SIGNERS["mailbox-p256"].thumbprint
    file.valid("challenge-of-a-p256-mailbox", SPEC, "a key of the other type, listed second", frame=challenge_frame(Session(mailbox="mailbox-p256")), mailboxes=[mine, p256])
    relayed = challenge_frame(Session(mailbox="mailbox-2"))
    rows = (
        ("relayed", relayed, [mine], "relayed from another mailbox"), ("without-mailboxes", frame, [], "the bundle lists none"),
        ("of-the-writer", plain(19, SESSION.challenge, SESSION.mailbox.public, SIGNERS["writer"].thumbprint), [mine], "another key of the bundle"),
        ("same-key-id", plain(19, SESSION.challenge, SESSION.mailbox.public, mine[:8] + bytes(24)), [mine], "only the first 8 bytes agree"),
    )
    for name, data, mailboxes, comment in rows:
        file.invalid(f"challenge-{name}", "mailbox-mismatch", SPEC, comment, ["mailbox"], frame=data, mailboxes=mailboxes)
    return file


def receiver(device="device-a", mailbox="mailbox"):
    """Returns what the mailbox knows when a hello comes."""
    return {
        "issued": [{"challenge": SESSION.challenge, "mailbox_seed": SESSION.mailbox.seed}], "mailbox_thumbprint": SIGNERS[mailbox].thumbprint,
        "channels": [{
            "channel_id": CHANNEL, "root": e.ROOT, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION,
            "public_key": SIGNERS[device].public,
        }],
    }


def hello_with(ephemeral):
    """Returns a hello whose ephemeral and transcript are those of another public key."""
    parts = ["postern/1 session", SESSION.mailbox_key.thumbprint, SESSION.challenge, ephemeral, SESSION.mailbox.public, CHANNEL]
    return SESSION.hello(ephemeral=ephemeral, digest=sha256(encode(parts)))


def hellos():
    """Returns the file of hellos as the mailbox sees them."""
    file = Collection("06-sessions/hello.json", "session.hello", "the mailbox accepts or refuses a hello")
    file.valid("hello-honest", SPEC, "opens the session of the tests", ["hello"], frame=plain(20, CHANNEL, raw(SESSION.hello())),
               transcript=SESSION.transcript, key_up=SESSION.key_up, key_down=SESSION.key_down, **receiver())
    hellos_p256(file)
    unknown = Session(challenge=blob("never issued", 16))
    foreign = sha256(encode(["postern-channel", e.ROOT, e.TENANT, "press-8"]))[:16]
    elsewhere = Session(mailbox="mailbox-2")
    rows = (
        ("unknown-challenge", "challenge-unknown", CHANNEL, unknown.hello(), "a challenge that was not issued here"),
        ("challenge-before-signature", "challenge-unknown", CHANNEL, unknown.hello(signer="device-b", labels={4: SIGNERS["device-a"].kid}), "it is looked for before anything is verified"),
        ("form-before-signature", "shape", CHANNEL, SESSION.hello(challenge=bytes(15), signer="device-b", labels={4: SIGNERS["device-a"].kid}), "it is read to look for the challenge"),
        ("zero-challenge", "challenge-unknown", CHANNEL, Session(challenge=bytes(16)).hello(), "sixteen zeros"),
        ("other-channel", "not-admitted", foreign, Session(channel=foreign).hello(), "the channel is not served here"),
        ("zero-channel", "not-admitted", bytes(16), Session(channel=bytes(16)).hello(), "sixteen zeros"),
        ("for-another-mailbox", "digest-mismatch", CHANNEL, elsewhere.hello(), "the transcript names another mailbox"),
        ("other-transcript", "digest-mismatch", CHANNEL, SESSION.hello(digest=blob("transcript", 32)), "the digest is another"),
        ("other-ephemeral", "digest-mismatch", CHANNEL, SESSION.hello(ephemeral=AGREEMENTS["ephemeral-device-2"].public), "the ephemeral is not the one of the digest"),
        ("other-key", "signature-invalid", CHANNEL, SESSION.hello(signer="device-b", labels={4: SIGNERS["device-a"].kid}), "another key under the id of the device"),
        ("unknown-key", "key-unknown", CHANNEL, SESSION.hello(signer="device-b"), "the key of another device"),
        ("old-incarnation", "signature-invalid", CHANNEL, SESSION.hello(aad=e.aad(9, incarnation=e.OTHER_INCARNATION)), "the incarnation before the reset"),
        ("zero-ephemeral", "ephemeral-invalid", CHANNEL, hello_with(bytes(32)), "the shared secret is all zero"),
        ("ephemeral-of-order-8", "ephemeral-invalid", CHANNEL, hello_with(small_publics()[2]), "the shared secret is all zero"),
        ("signed-by-mailbox", "signer-role", CHANNEL, SESSION.welcome(), "a welcome sent back as hello"),
    )
    for name, error, channel, message, comment in rows:
        file.invalid(f"hello-{name}", error, SPEC, comment, ["hello"], frame=plain(20, channel, raw(message)), **receiver())
    used = {**receiver(), "issued": []}
    file.invalid("hello-challenge-used", "challenge-unknown", SPEC, "the challenge has opened a session already", ["hello"], frame=plain(20, CHANNEL, raw(SESSION.hello())), **used)
    return file


def hellos_p256(file):
    """Adds hellos in which a key is of P-256."""
    for name, session, device, mailbox in (
        ("device", SESSION, "device-p256", "mailbox"), ("mailbox", Session(mailbox="mailbox-p256"), "device-a", "mailbox-p256"), ("both", Session(mailbox="mailbox-p256"), "device-p256", "mailbox-p256"),
    ):
        file.valid(f"hello-p256-{name}", SPEC, "keys of P-256", ["hello", "esp256"], frame=plain(20, CHANNEL, raw(session.hello(signer=device))),
                   transcript=session.transcript, key_up=session.key_up, key_down=session.key_down, **receiver(device, mailbox))
    high = lambda signature: signature[:32] + bytes(32)
    for name, error, message, comment in (
        ("p256-as-ed25519", "algorithm-mismatch", SESSION.hello(signer="device-p256", labels={1: -19}), "alg -19 with a P-256 key"), ("p256-s-zero", "signature-invalid", SESSION.hello(signer="device-p256", signature=high), "s is 0"),
        ("p256-of-another", "key-unknown", SESSION.hello(signer="other-p256"), "another P-256 key"), ("ed25519-for-p256", "key-unknown", SESSION.hello(), "the device has a P-256 key"),
        ("p256-forged", "signature-invalid", SESSION.hello(signer="other-p256", labels={4: SIGNERS["device-p256"].kid}), "another key under the id of the device"),
    ):
        file.invalid(f"hello-{name}", error, SPEC, comment, ["hello", "esp256"], frame=plain(20, CHANNEL, raw(message)), **receiver("device-p256"))


def welcomes():
    """Returns the file of welcomes as the device sees them."""
    file = Collection("06-sessions/welcome.json", "session.welcome", "the device accepts or refuses a welcome")
    known = {
        "challenge_frame": challenge_frame(SESSION), "device_seed": SESSION.device.seed, "mailbox_key": SIGNERS["mailbox"].public,
        "root": e.ROOT, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION,
    }
    file.valid("welcome-honest", SPEC, "opens the session of the tests", ["welcome"], frame=plain(21, raw(SESSION.welcome())),
               session_id=SESSION.session_id, key_up=SESSION.key_up, key_down=SESSION.key_down, **known)
    for name, time in (("time", 1795000000), ("time-first", 1), ("time-last", 253402300799)):
        file.valid(f"welcome-{name}", "#signed-time", "states the time", ["welcome"], frame=plain(21, raw(SESSION.welcome(time=[time]))),
                   session_id=SESSION.session_id, key_up=SESSION.key_up, key_down=SESSION.key_down, unix_s=time, **known)
    for age in (0, 1):
        file.valid(f"welcome-age-{age}", SPEC, "a session that is over at once, or soon", ["welcome"], frame=plain(21, raw(SESSION.welcome(age=age))),
                   session_id=SESSION.session_id, key_up=SESSION.key_up, key_down=SESSION.key_down, **known)
    p256 = Session(mailbox="mailbox-p256")
    theirs = {**known, "challenge_frame": challenge_frame(p256), "mailbox_key": SIGNERS["mailbox-p256"].public}
    file.valid("welcome-p256", SPEC, "a mailbox with a P-256 key", ["welcome", "esp256"], frame=plain(21, raw(p256.welcome())),
               session_id=p256.session_id, key_up=p256.key_up, key_down=p256.key_down, **theirs)
    for name, error, message, comment in (
        ("p256-as-ed25519", "algorithm-mismatch", p256.welcome(labels={1: -19}), "alg -19 with a P-256 key"), ("p256-forged", "signature-invalid", p256.welcome(signer="other-p256", labels={4: SIGNERS["mailbox-p256"].kid}), "another key under the id of the mailbox"),
    ):
        file.invalid(f"welcome-{name}", error, SPEC, comment, ["welcome", "esp256"], frame=plain(21, raw(message)), **theirs)
    rows = (
        ("other-transcript", "digest-mismatch", SESSION.welcome(digest=blob("transcript", 32)), "of another hello"),
        ("other-ephemerals", "digest-mismatch", Session("-2").welcome(), "of a session with other ephemerals"),
        ("other-mailbox", "key-unknown", Session(mailbox="mailbox-2").welcome(), "another mailbox signs"),
        ("forged", "signature-invalid", SESSION.welcome(signer="mailbox-2", labels={4: SIGNERS["mailbox"].kid}), "another key under the id of the mailbox"),
        ("other-device", "signature-invalid", SESSION.welcome(aad=e.aad(10, device="press-8")), "for another device"),
        ("age-86401", "shape", SESSION.welcome(age=86401), "a second above a day"), ("age-largest", "shape", SESSION.welcome(age=2**64 - 1), "for ever"),
        ("time-0", "shape", SESSION.welcome(time=[0]), "1970 is no time"), ("time-beyond", "shape", SESSION.welcome(time=[253402300800]), "the year 10000"),
        ("time-replayed", "digest-mismatch", Session("-2").welcome(time=[1795000000]), "the time of a session with other ephemerals"),
        ("time-forged", "signature-invalid", SESSION.welcome(time=[1795000000], signer="mailbox-2", labels={4: SIGNERS["mailbox"].kid}), "the time of another key"),
        ("hello-back", "signer-role", SESSION.hello(), "the device's own hello sent back"),
    )
    for name, error, message, comment in rows:
        file.invalid(f"welcome-{name}", error, SPEC, comment, ["welcome"], frame=plain(21, raw(message)), **known)
    return file


def build():
    """Returns the four files."""
    return [transcripts(), challenges(), hellos(), welcomes()]
