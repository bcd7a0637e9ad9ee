"""A daemon that answers as a test tells it to, on free loopback ports."""

import collections
import threading
import time

import msgpack
import zmq

Received = collections.namedtuple("Received", "peer fields image at")


class FakeDaemon:
    """`ingest(fake, received)` and `query(fake, received)` are called on the
    daemon's thread for every message and answer through reply() or raw(), at
    once or at a later message; without them images are `stored` and every
    question is answered with `answer`."""

    def __init__(self, ingest=None, query=None, answer=None):
        self._handlers = {"ingest": ingest or _store,
                          "query": query or _answer}
        self.answer = answer or {}
        self.images = []  # everything received, in order
        self.questions = []
        self._changed = threading.Condition()
        self._thread = None
        self._events = []
        self._error = None
        self.port = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()
        if self._error is not None:
            raise self._error

    def start(self):
        """On the same ports as before, if there was a before."""
        self._stopping = threading.Event()
        bound = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(bound,))
        self._thread.start()
        if not bound.wait(10):
            raise AssertionError("the fake daemon cannot bind its ports")

    def stop(self):
        """Connections are cut; what was not answered never will be."""
        self._stopping.set()
        self._thread.join()

    def vanish(self):
        """As stop(), from within a handler."""
        self._stopping.set()

    def wait_for(self, condition, seconds=20):
        """Until condition(self), which is asked at every message."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), seconds):
                raise AssertionError("it did not happen; %d images, %d "
                                     "questions came"
                                     % (len(self.images),
                                        len(self.questions)))

    def publish(self, topic, **fields):
        self.publish_raw(topic.encode(), msgpack.packb({"v": 1, **fields}))

    def publish_raw(self, *frames):
        with self._changed:
            self._events.append(frames)

    def reply(self, received, **fields):
        """To `received`; its seq, and its id if it has one, are added."""
        own = {"v": 1, "seq": received.fields["seq"]}
        if received.image is not None:
            own["id"] = received.fields.get("id", "some-id")
        else:
            own.update(op=received.fields["op"], ok="error" not in fields)
        self.raw(received, msgpack.packb({**own, **fields}))

    def raw(self, received, *frames):
        socket = (self._sockets["query"] if received.image is None
                  else self._sockets["ingest"])
        socket.send_multipart([received.peer, *frames])

    def _run(self, bound):
        # Of this life only: its end waits until the ports are free again.
        context = zmq.Context()
        try:
            self._bind(context)
            bound.set()
            while not self._stopping.is_set():
                self._serve()
        except Exception as error:  # told when the test ends
            self._error = error
        finally:
            context.destroy(0)

    def _bind(self, context):
        self._sockets = {"ingest": context.socket(zmq.ROUTER),
                         "query": context.socket(zmq.ROUTER),
                         "events": context.socket(zmq.PUB)}
        self.port = self.port or free_ports()
        for i, socket in enumerate(self._sockets.values()):
            socket.linger = 0
            socket.bind("tcp://127.0.0.1:%d" % (self.port + i))

    def _serve(self):
        with self._changed:
            events, self._events = self._events, []
        for event in events:
            self._sockets["events"].send_multipart(event)
        for name in ("ingest", "query"):
            socket = self._sockets[name]
            if not socket.poll(2):
                continue
            peer, *frames = socket.recv_multipart()
            image = frames[1] if name == "ingest" else None
            received = Received(peer, msgpack.unpackb(frames[0]), image,
                                time.monotonic())
            # Before the answer: whoever gets it finds it here.
            with self._changed:
                (self.images if name == "ingest" else
                 self.questions).append(received)
                self._changed.notify_all()
            self._handlers[name](self, received)


def free_ports():
    import daemon  # of tests/acceptance
    return daemon.free_ports()


def _store(fake, received):
    fake.reply(received, status="stored")


def _answer(fake, received):
    fake.reply(received, **fake.answer)
