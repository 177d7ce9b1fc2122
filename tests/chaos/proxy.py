"""A TCP proxy on the loopback that can be cut, stopped in one direction, slowed, or reset.

`with Proxy(port, target) as p: p.cut(); p.heal()`. One thread of its own; methods may be called from
any thread and take effect at the next piece of data, or at once where they close connections."""
import asyncio
import socket
import struct
import threading


class Proxy:
    def __init__(self, port, target):
        self.port, self.target = port, target
        self.loop = asyncio.new_event_loop()
        self.server = None
        self.writers = set()
        self.delay = 0      # seconds before each piece goes on
        self.rate = 0       # bytes a second, 0: no limit
        self.refuse = False
        self.held = set()   # directions in which nothing passes: "up" to the broker, "down"
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not self.ready.wait(10):
            raise RuntimeError("the proxy does not start")

    # --- what may be asked of it ---

    def cut(self):
        """All connections end, new ones are refused."""
        self.refuse = True
        self.reset()

    def reset(self):
        """All connections end with RST; new ones may come."""
        self.loop.call_soon_threadsafe(self._close_all)

    def hold(self, *directions):
        self.held = set(directions)

    def slow(self, delay, rate):
        self.delay, self.rate = delay, rate

    def heal(self):
        self.refuse, self.delay, self.rate, self.held = False, 0, 0, set()

    def close(self):
        def end():
            self.server.close()
            self._close_all()
            self.loop.stop()
        self.loop.call_soon_threadsafe(end)
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- inside ---

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.ready.set()
        self.loop.run_forever()

    def _close_all(self):
        for writer in list(self.writers):
            sock = writer.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _serve(self, reader, writer):
        if self.refuse:
            writer.transport.abort()
            return
        host, port = self.target.rsplit(":", 1)
        try:
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, up_writer}
        await asyncio.gather(self._pipe(reader, up_writer, "up"),
                             self._pipe(up_reader, writer, "down"))
        self.writers -= {writer, up_writer}

    async def _pipe(self, reader, writer, direction):
        try:
            while data := await reader.read(65536):
                while direction in self.held:
                    await asyncio.sleep(0.05)
                wait = self.delay + (len(data) / self.rate if self.rate else 0)
                if wait:
                    await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()
        except (OSError, ConnectionError):
            pass
        writer.close()
