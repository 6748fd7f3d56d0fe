"""What a device does with what it is given; names say the behaviour. Run: python -m unittest discover -s tests"""

import os
import unittest

from postern_device import cbor, cose, frames, kinds
from postern_device.keys import public_of
from postern_device.kinds import Position
from postern_device.rejects import NUMBER_OF
from postern_device.state import bodies_of
from writer import begin, chunk_of

A = {"line/speed": 1, "line/name": "x"}
B = {**A, "line/speed": 2}
C = {**A, "line/speed": 3}


class Base(unittest.TestCase):
    """A device and its other end."""

    def setUp(self):
        self.writer, self.engine = begin(self)

    def head(self):
        """Epoch and seq of the accepted head."""
        head = self.engine.record.desired.head
        return head and (head.epoch, head.seq)

    def rejects(self):
        """Counted rejects."""
        return dict(self.engine.reporter.rejects)

    def refused(self):
        """List 1 of the newest report, by name."""
        numbers = {number: name for name, number in NUMBER_OF.items()}
        return [numbers[entry[3]] for entry in self.writer.lists(self.engine).get(1, [])]


class Acceptance(Base):
    """The desired plane."""

    def test_snapshot_without_its_bodies_is_not_accepted(self):
        self.writer.give(self.engine, self.writer.snapshot(A))
        self.assertIsNone(self.head())
        self.assertEqual(len(self.engine.desired.waiting.wants()), 1)

    def test_snapshot_with_its_bodies_is_applied_and_reported(self):
        self.writer.bring(self.engine, A)
        report = self.writer.report(self.engine)
        self.assertEqual((self.head(), self.writer.applied), ((5, 1), [A]))
        self.assertEqual(report.content.applied, (5, 1))

    def test_body_with_other_bytes_is_refused_and_the_right_one_still_taken(self):
        self.writer.give(self.engine, self.writer.snapshot(A))
        right = chunk_of(bodies_of(A)["line"])
        wrong = type(right)(right.digest, right.size, 0, bytes(right.size))
        self.assertFalse(self.engine.take_chunks([wrong]))
        self.assertEqual((self.rejects(), self.head()), ({"body-mismatch": 1}, None))
        self.engine.take_chunks([right])
        self.assertEqual(self.head(), (5, 1))

    def test_body_that_nobody_asked_for_is_refused_with_all_that_came_beside_it(self):
        self.writer.give(self.engine, self.writer.snapshot(A))
        asked, other = chunk_of(bodies_of(A)["line"]), chunk_of(b"another body")
        self.assertFalse(self.engine.take_chunks([asked, other]))
        self.assertEqual((self.rejects(), self.head()), ({"body-mismatch": 1}, None))

    def test_revision_that_failed_is_not_applied_again_by_this_process_and_its_result_is_listed(self):
        self.writer.bring(self.engine, A)
        self.engine.handle([self.writer.delta({"line/speed": 2}, B, 2, 1)], 0)
        handed = []

        def fail(state, _actions):
            handed.append(state)
            return 7, "no"

        for _ in range(2):
            self.engine.settle(fail, dict)
        self.assertEqual((handed, self.head()), ([B], (5, 2)))
        self.assertEqual(self.writer.report(self.engine).content.applied, (5, 1))
        self.assertEqual(self.writer.lists(self.engine)[2], [[5, 2, 7, "no"]])
        self.engine = self.writer.engine()
        self.assertEqual(self.writer.applied, [A, B])

    def test_revision_counts_as_applied_only_when_an_application_that_takes_time_has_ended(self):
        self.engine.handle([self.writer.snapshot(A)], 0)
        self.engine.take_chunks([chunk_of(body) for body in bodies_of(A).values()])
        self.engine.settle(lambda *_: None, dict)
        self.assertEqual(self.writer.report(self.engine).content.applied, (0, 0))
        self.engine.ended(0, "", lambda *_: (0, ""))
        self.engine.settle(lambda *_: None, dict)
        self.assertEqual(self.writer.report(self.engine).content.applied, (5, 1))

    def test_file_of_another_channel_is_refused_and_the_own_one_behind_it_still_taken(self):
        self.writer.bring(self.engine, A)
        _, envelope = self.writer.delta({"line/speed": 2}, B, 2, 1)

        def filed(channel_id: bytes) -> bytes:
            return bytes([frames.POSTED]) + cbor.encode(channel_id) + cbor.encode(0) + b"\xd2" + envelope

        self.engine.take_file(filed(bytes(16)), 0)
        self.assertEqual((self.rejects(), self.head()), ({"not-admitted": 1}, (5, 1)))
        self.engine.take_file(filed(bytes(16)) + filed(self.engine.channel_id), 0)
        self.assertEqual((self.rejects(), self.head()), ({"not-admitted": 2}, (5, 2)))

    def test_file_is_read_up_to_the_first_frame_that_does_not_belong_into_one(self):
        self.engine.take_file(frames.plain(frames.ASK, [1]), 0)
        self.assertEqual(self.rejects(), {"frame-direction": 1})

    def test_chunk_from_another_offset_is_not_taken(self):
        self.writer.give(self.engine, self.writer.snapshot(A))
        right = chunk_of(bodies_of(A)["line"])
        self.engine.take_chunks([type(right)(right.digest, right.size, 1, right.data[1:])])
        self.assertEqual(self.engine.desired.waiting.wants()[0][1], 0)

    def test_delta_before_any_snapshot_asks_for_one(self):
        self.writer.give(self.engine, self.writer.delta({"line/speed": 2}, B, 2, 1))
        self.assertTrue(self.engine.desired.wants_need)
        self.assertEqual((self.head(), self.refused()), (None, []))

    def test_delta_on_a_newer_base_changes_nothing_and_asks(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.delta({"line/speed": 3}, C, 3, 2))
        self.assertEqual((self.head(), self.rejects()), ((5, 1), {"base-newer": 1}))
        self.assertTrue(self.engine.desired.wants_need)

    def test_delta_with_another_digest_is_refused_and_listed(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.delta({"line/speed": 2}, C, 2, 1))
        self.assertEqual((self.head(), self.refused()), ((5, 1), ["digest-mismatch"]))
        self.assertTrue(self.engine.desired.wants_need)

    def test_delta_of_an_earlier_incarnation_is_refused_and_not_listed(self):
        other = cose.Place(self.writer.place.genesis, "acme", "press-7", bytes(16))
        self.writer.give(self.engine, self.writer.snapshot(A, place=other))
        self.assertEqual((self.rejects(), self.refused()), ({"signature-invalid": 1}, []))

    def test_lower_epoch_is_refused_after_a_restart_too(self):
        self.writer.bring(self.engine, A)
        self.restart()
        self.writer.give(self.engine, self.writer.snapshot(B, epoch=4, seq=9))
        self.assertEqual((self.head(), self.refused()), ((5, 1), ["epoch-stale"]))

    def test_second_content_under_one_number_freezes_the_epoch_across_a_restart(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.snapshot(B))
        self.restart()
        self.writer.give(self.engine, self.writer.delta({"line/speed": 3}, C, 2, 1))
        self.assertEqual((self.head(), self.refused()), ((5, 1), ["equivocation", "epoch-frozen"]))
        self.assertEqual([post.what for post in self.engine.posts(0)][1], "evidence")

    def test_new_epoch_that_does_not_know_the_head_is_answered_with_evidence_and_the_state(self):
        self.writer.bring(self.engine, A)
        self.writer.bring(self.engine, B, epoch=6, lineage=[[5, 1, bytes(32)]])
        self.assertEqual((self.head(), self.refused()), ((5, 1), ["writer-behind"]))
        self.assertEqual(list(self.engine.bodies().values()), list(bodies_of(A).values()))

    def test_refusal_that_is_offered_again_after_its_ack_is_not_listed_again(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.snapshot(B, epoch=4, seq=9))
        number = self.engine.record.reporting.rseq
        for _ in range(3):
            self.writer.give(self.engine, self.writer.snapshot(B, epoch=4, seq=9), self.writer.ack(self.engine))
        self.assertEqual(self.rejects()["epoch-stale"], 4)
        self.assertEqual(self.engine.record.reporting.rseq, number)

    def restart(self):
        """Another process on the same store."""
        self.engine = self.writer.engine()


class Reports(Base):
    """Numbers, repetition and acknowledgement."""

    def test_entry_is_repeated_until_a_report_that_held_it_is_acknowledged(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.snapshot(B, epoch=4))
        self.writer.give(self.engine, self.writer.delta({"line/speed": 2}, B, 2, 1))
        self.assertEqual(self.refused(), ["epoch-stale"])
        self.writer.give(self.engine, self.writer.ack(self.engine))
        self.writer.give(self.engine, self.writer.delta({"line/speed": 3}, C, 3, 2))
        self.assertEqual(self.refused(), [])

    def test_ack_of_another_device_epoch_covers_nothing(self):
        self.writer.bring(self.engine, A)
        self.writer.give(self.engine, self.writer.ack(self.engine, epoch=self.engine.record.reporting.epoch - 1))
        self.assertTrue(self.engine.reporter.is_outstanding)

    def test_seventeenth_entry_drops_the_oldest_and_is_counted(self):
        self.writer.bring(self.engine, A)
        self.engine.handle([self.writer.snapshot(B, epoch=4, seq=seq) for seq in range(1, 18)], 0)
        self.writer.settle(self.engine)
        lists = self.writer.lists(self.engine)
        self.assertEqual((len(lists[1]), lists[1][0][2], lists[4]), (16, 2, [[1, 1]]))

    def test_number_is_durable_before_the_report_can_be_posted(self):
        self.writer.bring(self.engine, A)
        posted = next(post for post in self.engine.posts(0) if post.what == "report")
        self.assertEqual(self.writer.store.load().reporting.newest, posted.envelope)

    def test_restart_opens_a_higher_device_epoch(self):
        before = self.engine.record.reporting.epoch
        self.engine = self.writer.engine()
        self.assertGreater(self.engine.record.reporting.epoch, before)


class Intents(Base):
    """Actions that happen once."""

    def test_first_snapshot_fires_nothing_and_a_rise_fires_once_over_a_restart(self):
        self.writer.bring(self.engine, {"intent/go": 7})
        self.writer.bring(self.engine, {"intent/go": 8}, seq=2)
        self.engine = self.writer.engine()
        self.writer.bring(self.engine, {"intent/go": 8, "x": 1}, seq=3)
        actions = [one for one in self.writer.applied if isinstance(one, list)]
        self.assertEqual(actions, [[("intent/go", 8)]])
        self.assertEqual(self.engine.record.actual.state, {"intent/go": 8})

    def test_kill_during_an_action_is_told_as_interrupted_and_does_not_repeat_it(self):
        self.writer.bring(self.engine, {"intent/go": 7})

        def die(state, actions):
            if actions:
                raise KeyboardInterrupt
            return 0, ""

        self.engine.handle([self.writer.snapshot({"intent/go": 8}, seq=2)], 0)
        self.engine.take_chunks([chunk_of(body) for body in bodies_of({"intent/go": 8}).values()])
        with self.assertRaises(KeyboardInterrupt):
            self.engine.settle(die, dict)
        self.engine = self.writer.engine()
        self.assertEqual(self.writer.lists(self.engine)[5][-1], ["intent/go", 8, 7])


class Surroundings(Base):
    """Heartbeats, receipts, keys and bundles."""

    def test_nonce_of_the_controller_is_echoed_until_it_went_out(self):
        self.writer.give(self.engine, self.writer.heartbeat(ask=b"n" * 16))
        for _ in range(2):
            post = next(post for post in self.engine.posts(0) if post.what == "heartbeat")
            echo = cbor.decode(cose.Envelope.parse(post.envelope).payload)[4]
            self.assertEqual(echo, b"n" * 16)
        self.engine.posted([post], 0)
        self.assertFalse(any(post.what == "heartbeat" for post in self.engine.posts(1)))

    def test_poll_is_held_no_longer_than_until_an_outstanding_report_goes_out_again(self):
        nonce = cbor.decode(cose.Envelope.parse(self.engine.posts(0)[-1].envelope).payload)[5]
        self.writer.give(self.engine, self.writer.heartbeat(echo=nonce))
        self.assertGreater(self.engine.quiet_ms(0), 300_000)
        self.engine.posted(self.engine.posts(0), 0)
        self.assertEqual(self.engine.quiet_ms(20_000), 40_000)
        self.writer.give(self.engine, self.writer.ack(self.engine))
        self.assertGreater(self.engine.quiet_ms(20_000), 300_000)

    def test_receipt_is_named_until_a_poll_is_answered_and_not_in_the_next_session(self):
        self.writer.give(self.engine, self.writer.receipt(3, self.engine.channel_id))
        self.assertEqual(self.engine.poll_items(0)[-1], [9, 3])
        self.engine.begin_session()
        self.assertNotIn([9, 3], self.engine.poll_items(0))

    def test_receipt_about_another_channel_is_refused(self):
        self.writer.give(self.engine, self.writer.receipt(3, bytes(16)))
        self.assertEqual(self.rejects(), {"not-admitted": 1})

    def test_receipt_with_other_content_under_a_known_number_is_refused(self):
        channel_id = self.engine.channel_id
        self.writer.give(self.engine, self.writer.receipt(3, channel_id), self.writer.receipt(3, channel_id, 113))
        self.assertEqual(self.rejects(), {"equivocation": 1})

    def test_present_key_signs_until_the_answer_to_the_next_one_is_held(self):
        self.engine.ask_for_next_key()
        self.writer.settle(self.engine)
        self.assertEqual(self.writer.report(self.engine).content.lists[6], self.engine.record.next_key.envelope)
        waiting = self.engine.record.next_key
        answer = cbor.encode([1, public_of(waiting.seed).thumbprint])
        self.writer.give(self.engine, self.writer.seal(Position(6, 5, 1, 0, bytes(32)), answer, None))
        self.assertEqual(self.rejects(), {"enrol-answer-mismatch": 1})
        self.writer.give(self.engine, self.writer.seal(Position(6, 5, 1, 0, waiting.message_id), answer, None))
        self.assertEqual(self.writer.store.load().identity.seed, waiting.seed)

    def test_snapshot_that_a_device_signed_is_refused(self):
        item = self.writer.snapshot(A)
        forged = cose.seal(
            self.writer.device_seed,
            cose.Envelope.parse(item[1]).position,
            b"\x82\xa0\x80",
            self.writer.place.of_plane(kinds.SNAPSHOT, kinds.DESIRED),
        )
        self.writer.give(self.engine, (kinds.DESIRED, forged))
        self.assertEqual((self.head(), self.rejects()), (None, {"key-unknown": 1}))

    def test_actual_keeps_one_change_outstanding_and_joins_later_ones(self):
        for speed in (1, 2, 3):
            self.writer.settle(self.engine, {"line/speed": speed})
        first = self.engine.record.actual.head
        self.writer.give(self.engine, self.writer.heartbeat(other=(first.epoch, first.seq)))
        self.writer.settle(self.engine, {"line/speed": 3})
        after = cose.Envelope.parse(self.engine.record.actual.message).position
        self.assertEqual((after.kind, after.seq, after.base), (kinds.DELTA, 2, 1))

    def test_commit_that_is_cut_off_before_the_rename_leaves_the_old_record(self):
        self.writer.bring(self.engine, A)
        replace, os.replace = os.replace, None
        try:
            with self.assertRaises(TypeError):
                self.writer.bring(self.engine, B, seq=2)
        finally:
            os.replace = replace
        self.assertEqual(self.writer.store.load().desired.state, A)


if __name__ == "__main__":
    unittest.main()
