"""Questions, corrections and events of the Python client against a daemon
that misbehaves on purpose."""

import datetime
import pickle
import threading
import time
import unittest

import msgpack

import shoal
from fake_daemon import FakeDaemon


def client_of(fake, **options):
    return shoal.Client(port_base=fake.port, **options)


def row(**fields):
    """A reply with a key that no client knows yet."""
    return {**fields, "of_a_later_version": [1, {"x": 2}]}


EPOCH = row(epoch=3, parent=2, status="published", current=True, method="km",
            reason="asked", started_at="2026-11-24T13:31:59.250000Z",
            finished_at=None, images=10, clusters=2, churn=0.5,
            scores={"nmi": 1})
STATUS = row(images=4, pending=0, assigned=3, unassigned=1, confirmed=0,
             rejected=2, clusters=2, epoch=3, refining=False, version="0.1.0",
             uptime_seconds=12, views=["hog"], last_run=EPOCH)
IMAGE = row(id="a", state="assigned", cluster=2, confidence=1, epoch=3,
            source="s", captured_at="2026-01-02T03:04:05Z", meta={"k": "v"},
            received_at="2026-11-24T13:31:59.250000Z", size_bytes=9,
            format="png", width=3, height=4)
CLUSTER = row(cluster=2, size=3, confirmed=1, name="cats", born_epoch=1)


class Requests(unittest.TestCase):
    """Each method asks what docs/protocol.md says, and nothing more."""

    def check(self, use, answer, expected_result, **expected_fields):
        with FakeDaemon(answer=answer) as fake, client_of(fake) as client:
            result = use(client)
            if expected_result is not None:
                self.assertEqual(result, expected_result)
            fields = dict(fake.questions[0].fields)
            self.assertEqual(fields.pop("v"), 1)
            self.assertEqual(fields.pop("seq"), 1)
            self.assertEqual(fields, expected_fields)
            return result

    def test_images_and_clusters(self):
        image = self.check(lambda c: c.image("a"), IMAGE, None,
                           op="image", id="a")
        utc = datetime.timezone.utc
        self.assertEqual(image, shoal.ImageInfo(
            "a", "assigned", 2, 1.0, 3, "s",
            datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=utc), {"k": "v"},
            datetime.datetime(2026, 11, 24, 13, 31, 59, 250000, tzinfo=utc),
            9, "png", 3, 4, None))
        self.assertIsInstance(image.confidence, float)
        broken = {**IMAGE, "ok": True, "cluster": None, "error": {
            "code": "broken_image", "message": "no"}}
        self.assertEqual(
            self.check(lambda c: c.image("a"), broken, None, op="image",
                       id="a").error,
            shoal.WireError("broken_image", "no"))
        self.check(lambda c: c.image_bytes("a"), {"image": b"\xff\x00"},
                   b"\xff\x00", op="bytes", id="a")
        self.check(lambda c: c.cluster(2),
                   {**CLUSTER, "retired": True, "successors": [4, 5]},
                   shoal.Cluster(2, 3, 1, "cats", 1, True, (4, 5)),
                   op="cluster", cluster=2)
        clusters = self.check(lambda c: c.clusters(), row(
            clusters=[CLUSTER], epoch=None, unassigned=7), None,
            op="clusters")
        self.assertEqual((list(clusters), len(clusters), clusters.epoch,
                          clusters.unassigned),
                         ([shoal.Cluster(2, 3, 1, "cats", 1)], 1, None, 7))
        similar = {"similar": [row(id="b", score=0.5, cluster=None)]}
        expected = [shoal.Similar("b", 0.5, None)]
        self.check(lambda c: c.similar("a"), similar, expected, op="similar",
                   id="a", k=10)
        self.check(lambda c: c.similar(image=b"xyz", k=3), similar, expected,
                   op="similar", image=b"xyz", k=3)
        history = self.check(lambda c: c.history("a"), {"history": [
            {"at": None, "epoch": 1, "from": None, "to": 2,
             "state": "assigned", "cause": "arrival"}]}, None,
            op="history", id="a")
        self.assertEqual((history[0].from_cluster, history[0].to_cluster),
                         (None, 2))

    def test_the_daemon(self):
        status = self.check(lambda c: c.status(), STATUS, None, op="status")
        self.assertEqual((status.images, status.uptime_seconds, status.views,
                          status.last_run.epoch), (4, 12.0, ("hog",), 3))
        self.assertIsNone(self.check(lambda c: c.status(),
                                     {**STATUS, "last_run": None}, None,
                                     op="status").last_run)
        epochs = self.check(lambda c: c.epochs(), {"epochs": [EPOCH]}, None,
                            op="epochs")
        self.assertEqual(epochs[0].scores, {"nmi": 1.0})
        rejected = self.check(
            lambda c: c.rejected(5),
            row(total=9, counts={"too_large": 9}, rejected=[row(
                number=9, at=None, id=None, source=None, code="too_large",
                message="m")]), None, op="rejected", limit=5)
        self.assertEqual(rejected.counts["too_large"], rejected.total)
        self.check(lambda c: c.rejected(), row(total=0, counts={},
                                               rejected=[]),
                   None, op="rejected")

    def test_runs(self):
        self.check(lambda c: c.refine(), {"run": 4}, 4, op="refine")
        self.check(lambda c: c.refine(max_minutes=2.5, dry_run=True),
                   {"run": 4}, 4, op="refine", max_minutes=2.5, dry_run=True)
        self.check(lambda c: c.cancel(), {"run": 4}, 4, op="cancel")
        self.check(lambda c: c.rollback(2), {"epoch": 2}, 2, op="rollback",
                   epoch=2)
        self.check(lambda c: c.publish(2), {"epoch": 2}, 2, op="publish",
                   epoch=2)
        self.check(lambda c: c.backup("/b"), {"dir": "/b"}, "/b",
                   op="backup", dir="/b")

    def test_corrections(self):
        done = {"correction": 8, "cluster": 2}
        made = shoal.Correction(8, 2)
        self.check(lambda c: c.confirm("a"), {"correction": 8},
                   shoal.Correction(8), op="confirm", ids=["a"])
        self.check(lambda c: c.confirm(("a", "b"), 2), done, made,
                   op="confirm", ids=["a", "b"], cluster=2)
        self.check(lambda c: c.reject(iter(["a"]), cluster=2), done, made,
                   op="reject", ids=["a"], cluster=2)
        self.check(lambda c: c.move("a", 2), done, made, op="move",
                   ids=["a"], cluster=2)
        self.check(lambda c: c.merge(1, 2), done, made,
                   **{"op": "merge", "from": 1, "into": 2})
        self.check(lambda c: c.split(1, ["a"]), done, made, op="split",
                   cluster=1, ids=["a"])
        self.check(lambda c: c.undo(), {"correction": 9}, 9, op="undo")
        self.check(lambda c: c.undo(8), {"correction": 9}, 9, op="undo",
                   correction=8)
        self.check(lambda c: c.name(2, ""), {"cluster": 2, "name": ""}, None,
                   op="name", cluster=2, name="")
        self.check(lambda c: c.delete(["a", "b"]), {"deleted": 2}, 2,
                   op="delete", ids=["a", "b"])

    def test_members_come_page_by_page_and_only_as_read(self):
        def page(fake, received):
            cursor = received.fields.get("cursor") or 0
            fake.reply(received, cluster=2, cursor=cursor + 1
                       if cursor < 2 else None, members=[
                           {"id": "m%d-%d" % (cursor, i), "state": "assigned",
                            "confidence": None} for i in range(2)])

        with FakeDaemon(query=page) as fake, client_of(fake) as client:
            members = client.members(2, page_size=2)
            self.assertEqual(next(members).id, "m0-0")
            self.assertEqual(len(fake.questions), 1)
            self.assertEqual([m.id for m in members], [
                "m0-1", "m1-0", "m1-1", "m2-0", "m2-1"])
            self.assertEqual([q.fields.get("cursor") for q in fake.questions],
                             [None, 1, 2])
            self.assertEqual({q.fields["limit"] for q in fake.questions},
                             {2})
            self.assertEqual(len(list(client.unassigned())), 6)
            self.assertEqual(fake.questions[-1].fields["op"], "unassigned")

    def test_lineage_goes_on_after_the_last_seq(self):
        def page(fake, received):
            after = received.fields["after"]
            fake.reply(received, lineage=[] if after >= 6 else [
                {"seq": after + i, "at": None, "cluster": 1, "kind": "born",
                 "epoch": 1, "others": [7]} for i in (1, 2)])

        with FakeDaemon(query=page) as fake, client_of(fake) as client:
            self.assertEqual([e.seq for e in client.lineage(after=2)],
                             [3, 4, 5, 6])
            self.assertNotIn("cluster", fake.questions[0].fields)
            self.assertEqual(next(client.lineage(1)).others, (7,))
            self.assertEqual(fake.questions[-1].fields["cluster"], 1)

    def test_lineage_that_does_not_end_is_noticed(self):
        answer = {"lineage": [{"seq": 1, "at": None, "cluster": 1,
                               "kind": "born", "epoch": 1, "others": []}]}
        with FakeDaemon(answer=answer) as fake, client_of(fake) as client:
            with self.assertRaisesRegex(shoal.ProtocolError, "ascend"):
                list(client.lineage())


class Errors(unittest.TestCase):
    def test_codes_become_exceptions(self):
        def refuse(fake, received):
            fake.reply(received, error={"code": received.fields["code"],
                                        "message": "because"})

        kinds = {shoal.NotFound: ["not_found"],
                 shoal.Conflict: ["conflict", "no_epoch", "id_conflict"],
                 shoal.Busy: ["busy", "storage_full"],
                 shoal.Unavailable: ["unavailable"],
                 shoal.Forbidden: ["forbidden"],
                 shoal.Rejected: ["bad_field", "bad_id", "missing_field",
                                  "unknown_op", "unsupported", "invalid",
                                  "not_an_image", "truncated_image"],
                 shoal.DaemonError: ["internal", "of_a_later_version"]}
        with FakeDaemon(query=refuse) as fake, client_of(fake) as client:
            for kind, codes in kinds.items():
                for code in codes:
                    with self.assertRaises(shoal.DaemonError) as caught:
                        client.call("refine", code=code)
                    self.assertIs(type(caught.exception), kind, code)
                    self.assertEqual(caught.exception.code, code)
                    self.assertEqual(caught.exception.message, "because")
                    self.assertEqual(str(caught.exception),
                                     "because [%s]" % code)
            # All over one connection.
            self.assertEqual(len({q.peer for q in fake.questions}), 1)
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((copy.code, copy.message),
                         ("of_a_later_version", "because"))

    def test_no_daemon(self):
        with FakeDaemon() as fake:
            fake.stop()
            with client_of(fake, connect_timeout=0.2) as client:
                with self.assertRaisesRegex(shoal.Unreachable,
                                            "no daemon at tcp://127.0.0.1"):
                    client.status()
                with self.assertRaises(shoal.Unreachable):
                    client.events()

    def test_no_answer(self):
        def mute(fake, received):
            if received.fields["seq"] > 1:
                fake.reply(received, **STATUS)

        with FakeDaemon(query=mute) as fake, client_of(
                fake, timeout=1.5) as client:
            with self.assertRaisesRegex(shoal.Timeout, "within 1.5 s"):
                client.status()
            self.assertEqual(client.status().images, 4)

    def test_answers_to_other_questions_are_ignored(self):
        def chatter(fake, received):
            for seq in (99, 0, received.fields["seq"]):
                fake.raw(received, msgpack.packb(
                    {"v": 1, "ok": True, "op": "cancel", "seq": seq,
                     "run": seq}))

        with FakeDaemon(query=chatter) as fake, client_of(fake) as client:
            self.assertEqual([client.cancel() for _ in range(3)], [1, 2, 3])

    def test_replies_that_are_none(self):
        def expect(text, use, frame=None, answer=None):
            def reply(fake, received):
                if frame is None:
                    fake.reply(received, **answer)
                else:
                    fake.raw(received, frame)

            with FakeDaemon(query=reply) as fake, client_of(fake) as client:
                with self.assertRaisesRegex(shoal.ProtocolError, text):
                    use(client)

        def ask(client):
            return client.status()

        expect("no msgpack map", ask, frame=b"")
        expect("no msgpack map", ask, frame=b"{}")
        expect("version 7", ask, frame=msgpack.packb({"v": 7}))
        expect("not a query reply", ask, frame=msgpack.packb({"v": 1}))
        expect("not a query reply", ask,
               frame=msgpack.packb({"v": 1, "ok": "yes"}))
        expect("not a query reply", ask,
               frame=msgpack.packb({"v": 1, "ok": False, "error": "no"}))
        expect("Status.images is missing", ask, answer={})
        expect("Status.images is str", ask, answer={**STATUS, "images": "4"})
        expect("Status.images is bool", ask, answer={**STATUS,
                                                     "images": True})
        expect("Status.refining is int", ask, answer={**STATUS,
                                                      "refining": 1})
        expect("Status.views is str", ask, answer={**STATUS, "views": "x"})
        expect("Status.last_run.scores.nmi is str", ask, answer={
            **STATUS, "last_run": {**EPOCH, "scores": {"nmi": "x"}}})
        expect("received_at is no time", lambda c: c.image("a"),
               answer={**IMAGE, "received_at": "noon"})
        expect("received_at is no time", lambda c: c.image("a"),
               answer={**IMAGE, "received_at": 12})
        expect("image is NoneType", lambda c: c.image_bytes("a"), answer={})
        expect("members is NoneType", lambda c: list(c.members(1)),
               answer={})
        expect("Member is int", lambda c: list(c.members(1)),
               answer={"members": [1]})
        expect("run is str", lambda c: c.refine(), answer={"run": "4"})


class Again(unittest.TestCase):
    """What only reads is asked again; what changes something never is."""

    @staticmethod
    def busy_twice(fake, received):
        if len(fake.questions) <= 2:
            fake.reply(received, error={"code": "busy", "message": "full"})
        else:
            fake.reply(received, **STATUS)

    def test_reading_waits_for_a_busy_daemon(self):
        with FakeDaemon(query=self.busy_twice) as fake, client_of(
                fake) as client:
            self.assertEqual(client.status().images, 4)
            self.assertEqual(len(fake.questions), 3)

    def test_patience_is_bounded(self):
        def busy(fake, received):
            fake.reply(received, error={"code": "busy", "message": "full"})

        with FakeDaemon(query=busy) as fake, client_of(
                fake, timeout=1.5) as client:
            with self.assertRaises(shoal.Busy):
                client.status()
            self.assertGreater(len(fake.questions), 1)

    def test_changing_does_not(self):
        with FakeDaemon(query=self.busy_twice) as fake, client_of(
                fake) as client:
            with self.assertRaises(shoal.Busy):
                client.refine()
            self.assertEqual(len(fake.questions), 1)

    def restart(self, use):
        def vanish(fake, received):
            if len(fake.questions) == 1:
                fake.vanish()
                back.set()
            else:
                fake.reply(received, **STATUS)

        back = threading.Event()
        with FakeDaemon(query=vanish) as fake, client_of(fake) as client:
            def come_back():
                back.wait(20)
                fake.stop()
                fake.start()

            helper = threading.Thread(target=come_back)
            helper.start()
            try:
                return use(client), len(fake.questions)
            finally:
                helper.join()

    def test_reading_goes_on_after_a_restart(self):
        status, asked = self.restart(lambda c: c.status())
        self.assertEqual((status.images, asked), (4, 2))

    def test_changing_is_told_that_the_answer_is_lost(self):
        def use(client):
            with self.assertRaisesRegex(shoal.Unreachable, "was lost"):
                client.delete("a")

        self.assertEqual(self.restart(use)[1], 1)


class Arguments(unittest.TestCase):
    def test_that_make_no_sense(self):
        with FakeDaemon() as fake, client_of(fake) as client:
            for use in (lambda: client.similar(),
                        lambda: client.similar("a", image=b"x"),
                        lambda: client.call("image", id=object())):
                with self.assertRaises(TypeError):
                    use()
            for use in (lambda: client.image("\udcff"),
                        lambda: client.cluster(1 << 70)):
                with self.assertRaises(ValueError):
                    use()
            with self.assertRaises(FileNotFoundError):
                client.similar(image="/nowhere/cat.jpg")
            with self.assertRaises(shoal.Rejected):
                client_of(fake, max_image_bytes=2).similar(image=b"123")
            self.assertEqual(fake.questions, [])


class Runs(unittest.TestCase):
    def test_waiting_ends_with_the_entry(self):
        def run(fake, received):
            op = received.fields["op"]
            asked = sum(q.fields["op"] == "epochs" for q in fake.questions)
            if op == "refine":
                fake.reply(received, run=3)
            elif op == "status":
                fake.reply(received, **{**STATUS, "refining": asked < 2})
            else:
                fake.publish("epoch.published", epoch=3)
                fake.reply(received, epochs=[EPOCH] if asked == 3 else [
                    {**EPOCH, "status": "staging"}])

        with FakeDaemon(query=run) as fake, client_of(fake) as client:
            self.assertEqual(client.refine(wait=True).status, "published")

    def test_a_run_without_a_trace_is_not_found(self):
        def none(fake, received):
            fake.reply(received, epochs=[], **STATUS)

        with FakeDaemon(query=none) as fake, client_of(fake) as client:
            with self.assertRaisesRegex(shoal.NotFound, "no run 5"):
                client.wait_for_run(5)

    def test_patience_is_bounded(self):
        def forever(fake, received):
            fake.reply(received, epochs=[], **{**STATUS, "refining": True})

        with FakeDaemon(query=forever) as fake, client_of(fake) as client:
            with self.assertRaisesRegex(shoal.Timeout, "run 5 has not ended"):
                client.wait_for_run(5, timeout=0.2)


class Listening(unittest.TestCase):
    @staticmethod
    def first(fake, events, *frames):
        """Publishes until an event comes: the subscription takes a moment."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            fake.publish_raw(*frames)
            event = events.next(0.05)
            if event is not None:
                return event
        raise AssertionError("no event came")

    def test_events_of_the_topics_come_with_their_fields(self):
        moved = (b"image.moved", msgpack.packb({
            "v": 1, "at": "2026-11-24T13:31:59Z", "id": "a", "to": None}))
        with FakeDaemon() as fake, client_of(fake) as client:
            with client.events(["image.moved", "cluster."]) as events:
                event = self.first(fake, events, *moved)
                self.assertEqual(event.topic, "image.moved")
                self.assertEqual(event.fields, {"id": "a", "to": None})
                self.assertEqual(event.at.year, 2026)
                fake.publish("image.assigned", id="b")
                fake.publish("cluster.born", cluster=7)
                topics = []
                while "cluster.born" not in topics:
                    topics.append(next(events).topic)
                self.assertNotIn("image.assigned", topics)
            with self.assertRaises(StopIteration):
                next(events)
            with self.assertRaisesRegex(shoal.ShoalError, "closed"):
                events.next(1)
            client.events("").close()

    def test_the_connection_comes_back(self):
        with FakeDaemon() as fake, client_of(fake) as client:
            with client.events() as events:
                frames = (b"topic", msgpack.packb({"v": 1}))
                self.first(fake, events, *frames)
                self.assertEqual(events.reconnects, 0)
                fake.stop()
                fake.start()
                while events.reconnects == 0:
                    self.first(fake, events, *frames)
                self.assertEqual(events.reconnects, 1)

    def test_events_that_are_none(self):
        for text, *frames in (("two frames", b"topic"),
                              ("no msgpack map", b"topic", b"junk"),
                              ("version", b"topic", msgpack.packb({})),
                              ("no time", b"topic", msgpack.packb(
                                  {"v": 1, "at": "noon"}))):
            with FakeDaemon() as fake, client_of(fake) as client:
                with client.events() as events:
                    with self.assertRaisesRegex(shoal.ProtocolError, text):
                        self.first(fake, events, *frames)


if __name__ == "__main__":
    unittest.main()
