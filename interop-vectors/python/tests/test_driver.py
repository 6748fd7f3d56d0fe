"""How the driver greets, polls, moves and waits. Run: python -m unittest discover -s tests"""

import unittest

from mailbox import Mailbox
from postern_device import cbor, cose, frames, keys, kinds
from postern_device.application import Application
from postern_device.device import Device
from postern_device.exchange import TransportError
from postern_device.kinds import Position
from writer import MAILBOX_URL, begin

HOST = MAILBOX_URL.removeprefix("https://")


class Driver(unittest.TestCase):
    """A device, its engine, and a mailbox in the place of the network."""

    def setUp(self):
        self.writer, self.engine = begin(self)
        self.mailbox = Mailbox(self.writer)
        self.slept: list[float] = []
        self.said: list[str] = []
        self.run_device(50)

    def run_device(self, hold_s: int) -> None:
        """Begins a device that holds its polls for so long."""
        application = Application(self.writer.folder, self.said.append)
        self.device = Device(self.engine, self.mailbox, application, hold_s, self.said.append, self.slept.append)
        self.device.start()

    def steps(self, number: int) -> list[int]:
        """Runs so many steps and gives the types of the frames that went up in them."""
        before = len(self.mailbox.asked)
        for _ in range(number):
            self.device.step()
        return [kind for _, kind in self.mailbox.asked[before:]]

    def rejects(self) -> dict:
        """Counted rejects."""
        return dict(self.engine.reporter.rejects)

    def test_session_is_opened_then_what_is_due_is_posted_then_it_polls(self):
        self.assertEqual(self.steps(2), [frames.ASK, frames.HELLO, frames.POST, frames.POLL])

    def test_challenge_of_a_mailbox_that_the_bundle_does_not_list_is_refused_before_any_hello(self):
        self.mailbox.seed = keys.generate_secret()
        self.assertEqual(self.steps(1), [frames.ASK])
        self.assertEqual(self.rejects(), {"mailbox-mismatch": 1})

    def test_answer_to_another_request_ends_the_session_and_changes_nothing(self):
        self.mailbox.answers = [({"counter": 1}, [self.writer.heartbeat(ask=b"n" * 16)])]
        self.steps(2)
        self.assertEqual(self.rejects(), {"answer-mismatch": 1})
        self.assertEqual(self.steps(1), [frames.ASK, frames.HELLO])

    def test_forged_answer_is_refused_by_its_tag(self):
        self.mailbox.answers = [bytes([frames.ANSWER]) + b"idid" + cbor.encode(2) + bytes(8)]
        self.steps(2)
        self.assertEqual(self.rejects(), {"session-mac": 1})

    def test_page_of_somebody_else_is_counted_and_is_no_news(self):
        self.mailbox.answers = [b"<html>sign in</html>"]
        self.steps(2)
        self.assertEqual(self.rejects(), {"not-postern": 1})
        self.assertIsNone(self.engine.record.desired.head)

    def test_unsigned_refusal_makes_the_device_wait_and_greet_again(self):
        self.mailbox.answers = [frames.plain(frames.REFUSED, [114, 7000])]
        self.steps(2)
        self.assertEqual((self.slept, self.rejects()), ([7.0], {}))
        self.assertEqual(self.steps(1), [frames.ASK, frames.HELLO])

    def test_way_that_breaks_once_during_a_poll_keeps_the_session_and_shortens_the_hold(self):
        self.run_device(2)
        self.mailbox.answers = [TransportError("cut")]
        self.assertEqual(self.steps(2), [frames.ASK, frames.HELLO, frames.POST, frames.POLL])
        self.assertEqual((self.steps(1), self.mailbox.holds), ([frames.POLL], [2, 1]))

    def test_way_that_breaks_twice_ends_the_session(self):
        self.mailbox.answers = [TransportError("cut"), TransportError("cut")]
        self.steps(3)
        self.assertEqual(self.steps(1), [frames.ASK, frames.HELLO])

    def test_envelope_above_its_limit_spoils_no_other_of_its_answer(self):
        ask = self.writer.heartbeat(ask=b"n" * 16)
        plane, envelope = ask
        protected, unprotected, _, signature = cbor.decode(envelope)
        large = cbor.encode([protected, unprotected, bytes(48128), signature])
        self.mailbox.answers = [({}, [(plane, large), ask])]
        self.steps(2)
        self.assertEqual(self.rejects(), {"oversize": 1})
        self.assertEqual(self.steps(1), [frames.POST, frames.POLL])

    def test_answer_of_a_stream_is_no_answer_to_a_poll(self):
        self.mailbox.answers = [({"type": frames.STREAM_ANSWER}, [])]
        self.steps(2)
        self.assertEqual(self.rejects(), {"answer-mismatch": 1})

    def test_longest_pause_is_an_hour_whatever_a_mailbox_says(self):
        self.mailbox.answers = [({1: 2**63}, [])]
        self.steps(2)
        self.assertEqual(self.slept[0], 3600.0)

    def test_move_to_a_url_that_the_bundle_does_not_list_is_ignored(self):
        self.mailbox.answers = [({3: "https://elsewhere.example"}, [])]
        self.steps(4)
        self.assertEqual({host for host, _ in self.mailbox.asked}, {HOST})

    def test_second_move_within_a_minute_is_ignored(self):
        self.list_urls([[self.mailbox.seed, [MAILBOX_URL, "https://b.example", "https://c.example"]]])
        self.mailbox.answers = [({3: "https://b.example"}, []), ({3: "https://c.example"}, [])]
        self.steps(4)
        self.assertEqual({host for host, _ in self.mailbox.asked}, {HOST, "b.example"})

    def test_session_ends_when_a_bundle_drops_its_mailbox(self):
        other = keys.generate_secret()
        self.mailbox.answers = [({}, [(None, self.bundle([[other, [MAILBOX_URL]]]))])]
        self.steps(2)
        self.mailbox.seed = other
        self.assertEqual(self.steps(1), [frames.ASK, frames.HELLO])

    def test_poll_that_comes_back_at_once_without_news_is_followed_by_a_pause(self):
        self.steps(3)
        self.assertEqual(self.slept, [1, 1])

    def bundle(self, mailboxes: list) -> bytes:
        """The next bundle, with these mailboxes."""
        envelope = cose.Envelope.parse(self.engine.trust.envelopes[-1])
        aad = self.writer.place.trust(kinds.BUNDLE)
        content = cbor.decode(envelope.payload)
        content[4] = [[keys.public_of(seed).to_item(), urls] for seed, urls in mailboxes]
        number = envelope.position.seq
        position = Position(kinds.BUNDLE, 0, number + 1, number, cose.message_id(envelope, aad))
        return cose.seal(self.writer.root, position, cbor.encode(content), aad)

    def list_urls(self, mailboxes: list) -> None:
        """Lets the device hold a bundle with these mailboxes."""
        self.engine.handle([(None, self.bundle(mailboxes))], 0)


if __name__ == "__main__":
    unittest.main()
