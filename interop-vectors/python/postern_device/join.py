"""Joining: from a join line to a device with a name, a key and a chain of bundles.

The request is committed before it is sent, so that a join that was cut off asks again with the same words.

Implements spec/postern.md#enrolment and #incarnation, and spec/lives.md#join-line.
"""

import os
import time

from . import cose, encryption, enrol, keys
from .exchange import Refusal, TransportError
from .limits import RETRY_MS_MAX
from .lines import JoinLine
from .payloads import EnrolRequest
from .rejects import Reject, require
from .store import Enrolment, Identity, Record, Store
from .transport import Transport
from .trust import Trust

ASK_AGAIN_S = 2.0  # seconds after an attempt that failed without saying when to come again; arbitrary
PASSES_BY_ITSELF = ("enrol-pending", "overloaded", "quota")


def begin(line: JoinLine) -> Record:
    """Draws keys and an incarnation, and signs the request."""
    seed, agreement = keys.generate_secret(), os.urandom(32)
    incarnation = os.urandom(16)
    identity = Identity(
        line.tenant, line.device, line.genesis, line.recovery, incarnation, seed, agreement, line.urls, line.tls_ca
    )
    public = encryption.agreement_public(agreement)
    request = EnrolRequest(line.token, line.device, keys.public_of(seed), incarnation, os.urandom(16), public)
    envelope, message_id = enrol.seal_request(seed, request, place_of(identity))
    return Record(identity, Enrolment(line.token, line.secret, envelope, message_id, line.mailbox))


def place_of(identity: Identity) -> cose.Place:
    """The place of every envelope of this life."""
    return cose.Place(identity.genesis, identity.tenant, identity.device, identity.incarnation)


def accept(record: Record, frame: bytes) -> None:
    """Takes the answer: bundles first, then the writer's word, then the pinned mailbox."""
    identity, enrolment = record.identity, record.enrolment
    trust = Trust(identity.genesis, identity.recovery)
    key = keys.public_of(identity.seed)
    enrol.read_answer(frame, trust, place_of(identity), enrolment.message_id, key)
    if enrolment.mailbox is not None:
        require(trust.bundle.mailbox_of(enrolment.mailbox) is not None, "mailbox-mismatch")
    record.bundles = trust.envelopes
    record.enrolment = None


def run(store: Store, record: Record, transport: Transport, say) -> None:
    """Asks every URL in turn until one brings the answer. It ends when all of them refuse for good."""
    enrolment = record.enrolment
    frame = enrol.request_frame(enrolment.token, enrolment.secret, enrolment.envelope, enrolment.message_id)
    while record.enrolment is not None:
        wait_s, refused = ASK_AGAIN_S, []
        for url in record.identity.urls:
            try:
                accept(record, transport.exchange(url, frame))
                store.commit(record)
                return
            except Refusal as refusal:
                say(f"{url} refused: {refusal.name}")
                if refusal.name not in PASSES_BY_ITSELF:
                    refused.append(refusal)
                if refusal.retry_ms is not None:
                    wait_s = min(refusal.retry_ms, RETRY_MS_MAX) / 1000
            except TransportError as error:
                say(f"{url} failed: {error}")
            except Reject as reject:
                say(f"{url} answered what counts for nothing: {reject.name}")
        if len(refused) == len(record.identity.urls):
            raise refused[0]
        time.sleep(wait_s)
