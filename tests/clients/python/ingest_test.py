"""Ingest of the Python client against a daemon that misbehaves on purpose."""

import datetime
import os
import pathlib
import tempfile
import threading
import time
import unittest

import msgpack

import shoal
from fake_daemon import FakeDaemon


def client_of(fake, **options):
    return shoal.Client(port_base=fake.port,
                        **{"give_up_after": 20.0, **options})


def images(count):
    return [shoal.Image(b"image %d" % i, id="id-%d" % i)
            for i in range(count)]


class Answered(unittest.TestCase):
    def test_an_image_and_all_that_goes_with_it_arrive(self):
        with FakeDaemon() as fake, client_of(fake) as client:
            zone = datetime.timezone(datetime.timedelta(hours=2))
            reply = client.ingest(
                b"bytes", id="ä", source="here",
                captured_at=datetime.datetime(2026, 1, 2, 3, 4, tzinfo=zone),
                meta={"alt": "a cat"}, ack="assigned")
            self.assertEqual(reply.status, "stored")
            fields = fake.images[0].fields
            self.assertEqual(fields, {
                "v": 1, "seq": 1, "id": "ä", "source": "here",
                "captured_at": "2026-01-02T03:04:00+02:00",
                "meta": {"alt": "a cat"}, "ack": "assigned"})
            self.assertEqual(fake.images[0].image, b"bytes")
            client.ingest(shoal.Image(bytearray(b"more")))
            self.assertEqual(fake.images[1].fields, {"v": 1, "seq": 2})
            client.ingest(memoryview(b"view"))
            self.assertEqual(fake.images[2].image, b"view")

    def test_replies_out_of_order_find_their_images(self):
        held = []

        def hold(fake, received):
            held.append(received)
            if len(held) == 8:
                for each in reversed(held):
                    fake.reply(each, status="assigned", confidence=0.5,
                               cluster=int(each.fields["id"][3:]) + 1)

        told = []
        with FakeDaemon(hold) as fake, client_of(fake) as client:
            replies = list(client.ingest_many(images(8), ack="assigned",
                                              on_reply=told.append))
        self.assertEqual([r.cluster for r in replies],
                         [8, 7, 6, 5, 4, 3, 2, 1])
        for reply in replies:
            self.assertEqual(reply.item.id, "id-%d" % (reply.cluster - 1))
            self.assertEqual(reply.id, reply.item.id)
        self.assertEqual(told, replies)

    def test_unassigned_is_told_from_not_asked(self):
        def answer(fake, received):
            asked = received.fields.get("ack") == "assigned"
            fake.reply(received, **({"status": "assigned", "cluster": None}
                                    if asked else {"status": "stored"}))

        with FakeDaemon(answer) as fake, client_of(fake) as client:
            self.assertFalse(client.ingest(b"x").has_cluster)
            reply = client.ingest(b"x", ack="assigned")
            self.assertTrue(reply.has_cluster)
            self.assertIsNone(reply.cluster)

    def test_a_refusal_is_raised_for_one_and_yielded_among_many(self):
        def refuse(fake, received):
            if received.fields.get("id") == "id-1":
                fake.reply(received, status="rejected", error={
                    "code": "too_large", "message": "too many bytes"})
            else:
                fake.reply(received, status="stored")

        with FakeDaemon(refuse) as fake, client_of(fake) as client:
            with self.assertRaises(shoal.Rejected) as caught:
                client.ingest(b"x", id="id-1")
            self.assertEqual(caught.exception.code, "too_large")
            self.assertIn("too many bytes", str(caught.exception))
            statuses = {r.item.id: r.status
                        for r in client.ingest_many(images(3))}
            self.assertEqual(statuses, {"id-0": "stored",
                                        "id-1": "rejected",
                                        "id-2": "stored"})

    def test_a_second_answer_to_the_same_image_is_ignored(self):
        def twice(fake, received):
            fake.reply(received, status="stored")
            fake.reply(received, status="duplicate")

        with FakeDaemon(twice) as fake, client_of(fake) as client:
            replies = list(client.ingest_many(images(20), window=3))
            self.assertEqual({r.status for r in replies}, {"stored"})
            self.assertEqual(len(replies), 20)
            self.assertEqual(client.ingest(b"x").status, "stored")
            self.assertEqual(client.ingest(b"x").status, "stored")

    def test_nothing_to_send_is_no_error(self):
        with FakeDaemon() as fake, client_of(fake) as client:
            self.assertEqual(list(client.ingest_many([])), [])


class Busy(unittest.TestCase):
    def test_it_is_sent_again_after_the_time_asked_for(self):
        def busy_once(fake, received):
            if len(fake.images) == 1:
                fake.reply(received, status="busy", retry_after_ms=300,
                           error={"code": "queue_full", "message": "full"})
            else:
                fake.reply(received, status="stored")

        with FakeDaemon(busy_once) as fake, client_of(fake) as client:
            reply = client.ingest(b"x")
            self.assertEqual(reply.busy_retries, 1)
            first, second = fake.images
            self.assertGreaterEqual(second.at - first.at, 0.3)
            self.assertEqual(first.image, second.image)

    def test_fewer_are_in_flight_afterwards_and_none_is_lost(self):
        flying, most = set(), [0]
        refused = [0]

        def small_queue(fake, received):
            # Answers once 40 came, then again and again a full queue.
            flying.add(received.fields["seq"])
            held.append(received)
            if refused[0] < 40:
                if len(held) < 40:
                    return
                for each in held:
                    fake.reply(each, status="busy", retry_after_ms=10)
                refused[0] = 40
            else:
                most[0] = max(most[0], len(flying))
                if len(held) < min(4, total - len(fake.stored)):
                    return
                for each in held:
                    fake.stored.add(each.fields["id"])
                    fake.reply(each, status="stored")
            held.clear()
            flying.clear()

        held, total = [], 40
        with FakeDaemon(small_queue) as fake, client_of(fake) as client:
            fake.stored = set()
            replies = list(client.ingest_many(images(total)))
            self.assertEqual(len(fake.stored), total)
        self.assertEqual({r.status for r in replies}, {"stored"})
        self.assertEqual({r.busy_retries for r in replies}, {1})
        self.assertLessEqual(most[0], 36)

    def test_always_busy_ends_with_the_reason_and_the_images(self):
        def full(fake, received):
            fake.reply(received, status="busy", retry_after_ms=20, error={
                "code": "disk_full", "message": "no room left"})

        with FakeDaemon(full) as fake, client_of(
                fake, give_up_after=0.5) as client:
            with self.assertRaises(shoal.Busy) as caught:
                list(client.ingest_many(images(3)))
            error = caught.exception
            self.assertEqual(error.code, "disk_full")
            self.assertIn("no room left", str(error))
            self.assertIn("3 images not acknowledged: id-0, id-1, id-2",
                          str(error))
            self.assertEqual(sorted(i.id for i in error.unacknowledged),
                             ["id-0", "id-1", "id-2"])


class Silence(unittest.TestCase):
    def test_an_image_that_is_not_answered_is_sent_again(self):
        def second_time(fake, received):
            if received.fields["seq"] in seen:
                fake.reply(received, status="stored")
            seen.add(received.fields["seq"])

        seen = set()
        with FakeDaemon(second_time) as fake, client_of(
                fake, resend_after=0.1) as client:
            replies = list(client.ingest_many(images(5)))
            self.assertEqual(len(replies), 5)
            self.assertGreaterEqual(len(fake.images), 10)

    def test_a_mute_daemon_ends_with_a_timeout_that_names_the_images(self):
        with FakeDaemon(lambda fake, received: None) as fake, client_of(
                fake, give_up_after=0.3) as client:
            with self.assertRaises(shoal.Timeout) as caught:
                client.ingest(b"12345")
            self.assertIsInstance(caught.exception, TimeoutError)
            self.assertIn("1 image not acknowledged: 5 bytes without an id",
                          str(caught.exception))
            with self.assertRaises(shoal.Timeout) as caught:
                list(client.ingest_many(images(9)))
            self.assertIn("id-4, ...", str(caught.exception))
            self.assertEqual(len(caught.exception.unacknowledged), 9)

    def test_no_daemon_is_told_quickly(self):
        with FakeDaemon() as fake:
            fake.stop()
            with client_of(fake, connect_timeout=0.2) as client:
                begin = time.monotonic()
                with self.assertRaises(shoal.Unreachable) as caught:
                    client.ingest(b"x", id="cat")
                self.assertLess(time.monotonic() - begin, 5)
                self.assertIsInstance(caught.exception, ConnectionError)
                self.assertIn("no daemon at tcp://127.0.0.1:%d" % fake.port,
                              str(caught.exception))
                self.assertEqual(caught.exception.unacknowledged[0].id,
                                 "cat")
                # And it works as soon as there is one.
                fake.start()
                self.assertEqual(client.ingest(b"x").status, "stored")

    def test_time_spent_elsewhere_does_not_count(self):
        gate = threading.Event()

        def slow_source():
            yield images(1)[0]
            fake.wait_for(lambda f: len(f.images) >= 1)
            # Longer than the client's patience, answered in the meantime.
            gate.wait(1.2)
            yield images(2)[1]

        with FakeDaemon() as fake, client_of(
                fake, give_up_after=1.0) as client:
            client.ingest(b"warm")
            replies = list(client.ingest_many(slow_source()))
            self.assertEqual(len(replies), 2)


class Restart(unittest.TestCase):
    def test_what_was_in_flight_is_sent_again(self):
        phase = ["swallow"]

        def swallow_then_store(fake, received):
            if phase[0] == "store":
                new = received.fields["id"] not in stored
                stored.add(received.fields["id"])
                fake.reply(received,
                           status="stored" if new else "duplicate")
            elif received.fields["seq"] % 3 == 0:
                # Stored, and the answer never gets out.
                stored.add(received.fields["id"])

        stored = set()
        with FakeDaemon(swallow_then_store) as fake, client_of(
                fake) as client:
            replies = []
            reader = threading.Thread(target=lambda: replies.extend(
                client.ingest_many(images(50), window=10)))
            reader.start()
            fake.wait_for(lambda f: len(f.images) == 10)
            fake.stop()
            phase[0] = "store"
            fake.start()
            reader.join(30)
            self.assertFalse(reader.is_alive())
        self.assertEqual(stored, {"id-%d" % i for i in range(50)})
        self.assertEqual(len(replies), 50)
        self.assertEqual(sum(r.status == "duplicate" for r in replies), 3)

    def test_a_daemon_that_does_not_come_back_is_unreachable(self):
        def vanish(fake, received):
            if len(fake.images) == 2:
                fake.vanish()
            elif len(fake.images) == 1:
                fake.reply(received, status="stored")

        with FakeDaemon(vanish) as fake, client_of(
                fake, give_up_after=1.0) as client:
            client.ingest(b"first")
            with self.assertRaises(shoal.Unreachable) as caught:
                client.ingest(b"x", id="lost?")
            self.assertIn("1 image not acknowledged: lost?",
                          str(caught.exception))


class Malformed(unittest.TestCase):
    def expect(self, text, *frames):
        def answer(fake, received):
            if received.fields.get("id") == "fine":
                fake.reply(received, status="stored")
            else:
                fake.raw(received, *frames)

        with FakeDaemon(answer) as fake, client_of(fake) as client:
            with self.assertRaises(shoal.ProtocolError) as caught:
                client.ingest(b"x", id="odd")
            self.assertIn(text, str(caught.exception))
            self.assertIn("tcp://127.0.0.1:", str(caught.exception))
            self.assertEqual([i.id for i in caught.exception.unacknowledged],
                             ["odd"])
            # The client is as good as new.
            self.assertEqual(client.ingest(b"x", id="fine").status, "stored")

    def test_replies_that_are_none(self):
        def packed(**fields):
            return msgpack.packb({"v": 1, "seq": 1, "status": "stored",
                                  **fields})

        self.expect("no msgpack map", b"")
        self.expect("no msgpack map", b"\xc1")
        self.expect("no msgpack map", b"\x91" * 2000)
        self.expect("no msgpack map", msgpack.packb([1, 2]))
        self.expect("no msgpack map", packed()[:-1])
        self.expect("no msgpack map", packed() + b"x")
        self.expect("no msgpack map", msgpack.packb({1: 2}))
        self.expect("version 2", packed(v=2))
        self.expect("version None", msgpack.packb({"seq": 1}))
        self.expect("not an ingest reply", packed(seq="1"))
        self.expect("not an ingest reply", packed(seq=True))
        self.expect("not an ingest reply", packed(status="done"))
        self.expect("not an ingest reply", packed(status=[]))
        self.expect("could not read what was sent", packed(
            seq=0, status="rejected",
            error={"code": "bad_message", "message": "odd"}))
        self.expect("retry_after_ms", packed(status="busy",
                                             retry_after_ms="soon"))

    def test_fields_of_the_wrong_type(self):
        for field, value in (("error", "no"), ("cluster", "seven"),
                             ("confidence", []), ("id", 7)):
            def answer(fake, received, field=field, value=value):
                fake.reply(received, **{"status": "assigned", field: value})

            with self.subTest(field), FakeDaemon(answer) as fake, client_of(
                    fake) as client:
                with self.assertRaises(shoal.ProtocolError) as caught:
                    client.ingest(b"x")
                self.assertIn("makes no sense", str(caught.exception))

    def test_outcomes_before_it_are_told_first(self):
        def answer(fake, received):
            held.append(received)
            if len(held) == 3:
                fake.reply(held[0], status="stored")
                fake.raw(held[1], b"junk")

        held, told = [], []
        with FakeDaemon(answer) as fake, client_of(fake) as client:
            with self.assertRaises(shoal.ProtocolError) as caught:
                for reply in client.ingest_many(images(3)):
                    told.append(reply.id)
        self.assertEqual(told, ["id-0"])
        self.assertEqual([i.id for i in caught.exception.unacknowledged],
                         ["id-1", "id-2"])


class Window(unittest.TestCase):
    def check_ahead(self, most, images, **options):
        """However many images there are, at most `most` are taken ahead of
        the answers."""
        taken, answered = [0], [0]
        ahead = []

        def source():
            for image in images:
                taken[0] += 1
                ahead.append(taken[0] - answered[0])
                yield image

        with FakeDaemon() as fake, client_of(fake, **options) as client:
            for reply in client.ingest_many(source()):
                answered[0] += 1
            self.assertEqual(answered[0], taken[0])
        self.assertLessEqual(max(ahead), most)

    def test_images_are_taken_when_there_is_room(self):
        self.check_ahead(5, images(300), window=5)

    def test_the_bytes_in_flight_are_bounded_too(self):
        big = [b"%04d" % i + bytes(1 << 20) for i in range(40)]
        self.check_ahead(3, big, window_bytes=3 << 20)

    def test_stopping_early_leaves_nothing_open(self):
        def open_files():
            return len(os.listdir("/proc/self/fd"))

        with FakeDaemon() as fake, client_of(fake) as client:
            client.ingest(b"x")
            before = open_files()
            for _ in range(20):
                for reply in client.ingest_many(images(100)):
                    break
            deadline = time.monotonic() + 10
            while open_files() > before and time.monotonic() < deadline:
                client.ingest(b"x")  # sockets close in the background
            self.assertLessEqual(open_files(), before)
            self.assertEqual(client.ingest(b"x").status, "stored")

    def test_a_failing_source_fails_after_the_answers(self):
        def source():
            yield from images(5)
            raise ZeroDivisionError("of the source")

        told = []
        with FakeDaemon() as fake, client_of(fake) as client:
            with self.assertRaises(ZeroDivisionError):
                for reply in client.ingest_many(source()):
                    told.append(reply.id)
        self.assertEqual(sorted(told), ["id-%d" % i for i in range(5)])


class BadInput(unittest.TestCase):
    def setUp(self):
        self.fake = FakeDaemon()
        self.addCleanup(self.fake.__exit__)
        self.client = client_of(self.fake, max_image_bytes=1000)
        self.addCleanup(self.client.close)

    def test_images_that_need_not_be_sent_are_refused_here(self):
        with tempfile.TemporaryDirectory() as folder:
            small = pathlib.Path(folder, "small")
            small.write_bytes(b"s" * 1000)
            large = pathlib.Path(folder, "large")
            large.write_bytes(b"l" * 1001)
            bad = [os.path.join(folder, "missing"), folder, large,
                   b"l" * 1001, shoal.Image(b"x", id="\udcff"),
                   shoal.Image(b"x", meta={"a": "x" * 70000})]
            codes = {}
            for reply in self.client.ingest_many([small, *bad, str(small)]):
                codes.setdefault(reply.error and reply.error.code,
                                 []).append(reply.item)
        self.assertEqual(codes, {None: [small, str(small)],
                                 "unreadable": bad[:2],
                                 "too_large": bad[2:4],
                                 "bad_field": bad[4:]})
        self.assertEqual(len(self.fake.images), 2)

    def test_the_same_for_one_is_raised(self):
        with self.assertRaises(FileNotFoundError):
            self.client.ingest("/nowhere/cat.jpg")
        with self.assertRaises(shoal.Rejected) as caught:
            self.client.ingest(b"l" * 1001)
        self.assertEqual(caught.exception.code, "too_large")
        self.assertIn("max_image_bytes", str(caught.exception))
        self.assertEqual(self.fake.images, [])

    def test_arguments_that_make_no_sense(self):
        naive = datetime.datetime(2026, 1, 2)
        for error, text, arguments in (
                (TypeError, "bytes, a path or a shoal.Image", {"image": 7}),
                (TypeError, "bytes, a path or a shoal.Image",
                 {"image": None}),
                (TypeError, "id is a str", {"id": 7}),
                (TypeError, "source is a str", {"source": b"x"}),
                (TypeError, "meta maps str to str", {"meta": {"a": 1}}),
                (TypeError, "captured_at is", {"captured_at": 12.5}),
                (shoal.Rejected, "time zone", {"captured_at": naive}),
                (ValueError, "use 'stored' or 'assigned'", {"ack": "maybe"}),
                (TypeError, "carries its own", {"image": shoal.Image(b"x"),
                                                "id": "y"})):
            with self.subTest(arguments), self.assertRaises(error) as caught:
                self.client.ingest(**{"image": b"x", **arguments})
            self.assertIn(text, str(caught.exception))
        with self.assertRaises(TypeError):
            list(self.client.ingest_many([b"x", 7]))
        with self.assertRaises(ValueError):  # at the call, not when read
            self.client.ingest_many([], ack="maybe")
        with self.assertRaises(ValueError):
            self.client.ingest_many([], window=0)
        self.assertEqual(len(self.fake.images), 1)

    def test_options_that_make_no_sense(self):
        for options in ({"timeout": 0}, {"give_up_after": -1},
                        {"window": 0}, {"window": 1.5},
                        {"max_image_bytes": 0}, {"connect_timeout": 1e9},
                        {"port_base": 0}, {"port_base": 65533},
                        {"port_base": "7301"}, {"endpoint": "localhost"},
                        {"endpoint": "tcp://"}, {"endpoint": "tcp://a:b"},
                        {"endpoint": "ipc:///x"}, {"endpoint": "tcp://a/b"},
                        {"endpoint": "tcp://*"}, {"endpoint": "tcp://[x"},
                        {"endpoint": "tcp://a:99999"}, {"endpoint": b"tcp"},
                        {"endpoint": "tcp://a:1", "port_base": 2}):
            with self.subTest(options), self.assertRaises(ValueError):
                shoal.Client(**options)

    def test_endpoints(self):
        for endpoint, ingest, events in (
                ("tcp://h", "tcp://h:7301", "tcp://h:7303"),
                ("tcp://h:9000", "tcp://h:9000", "tcp://h:9002"),
                ("tcp://[::1]", "tcp://[::1]:7301", "tcp://[::1]:7303"),
                ("tcp://[::1]:5", "tcp://[::1]:5", "tcp://[::1]:7"),
                (None, "tcp://127.0.0.1:7301", "tcp://127.0.0.1:7303")):
            client = shoal.Client(endpoint)
            self.assertEqual(client.endpoints.ingest, ingest)
            self.assertEqual(client.endpoints.events, events)


class Threads(unittest.TestCase):
    def test_a_second_thread_at_once_is_told(self):
        inside, leave = threading.Event(), threading.Event()

        def wait(fake, received):
            inside.set()
            leave.wait(20)
            fake.reply(received, status="stored")

        with FakeDaemon(wait) as fake, client_of(fake) as client:
            other = threading.Thread(target=client.ingest, args=(b"x",))
            other.start()
            try:
                self.assertTrue(inside.wait(20))
                with self.assertRaisesRegex(RuntimeError, "one thread"):
                    client.status()
                with self.assertRaisesRegex(RuntimeError, "one thread"):
                    client.ingest(b"y")
            finally:
                leave.set()
                other.join()
            # One after the other is fine.
            self.assertEqual(client.ingest(b"y").status, "stored")

    def test_a_closed_client_says_so(self):
        with FakeDaemon() as fake:
            client = client_of(fake)
            client.close()
            client.close()
            for use in (lambda: client.ingest(b"x"), client.status,
                        lambda: client.ingest_many([]), client.events):
                with self.assertRaisesRegex(shoal.ShoalError, "closed"):
                    use()


if __name__ == "__main__":
    unittest.main()
