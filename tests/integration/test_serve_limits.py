"""Limits of the server: sizes, rates, times, the number of streams, and clients that do not read."""

import json
import random
import socket
import time
from contextlib import suppress

import numpy as np
from support.serving import START, Client, all_left, health, open_stream, sound, wait_closed

from bilabial.serve import connection


def test_a_message_that_is_too_large_is_refused_by_its_length(server_port):
    header = bytes([0x81, 0xFF]) + (2**21).to_bytes(8) + bytes(4)  # of a masked text of 2 MiB
    with open_stream(server_port) as client:
        client.socket.sendall(header)
        assert wait_closed(client)[0] == 1009


def test_messages_are_read_at_a_rate(server_port, monkeypatch):
    monkeypatch.setattr(connection, "MESSAGES_PER_SECOND", 50)
    client, begin = Client(server_port), time.monotonic()
    for number in range(200):
        client.send(type="ping", id=number)
    while client.receive_until("pong")["id"] < 199:
        pass
    assert time.monotonic() - begin >= 1.9  # 100 at once, then 50 a second
    client.end()


def test_who_does_not_start_is_closed(server_port, monkeypatch):
    monkeypatch.setattr(connection, "START_SECONDS", 0.2)
    with open_stream(server_port) as client:
        number, reason = wait_closed(client)
    assert number == 4408 and reason.startswith("serve_slow_start: ")


def test_who_says_nothing_is_closed(server_port, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.2)
    assert wait_closed(Client(server_port).socket)[1].startswith("serve_idle: ")


def test_no_more_streams_than_fit(server_port):
    assert all_left(server_port)
    clients = [Client(server_port) for _ in range(12)]
    assert health(server_port) == {"status": "ok", "version": "0.1.0", "streams": 12, "max_streams": 12}
    with open_stream(server_port) as late:
        number, reason = wait_closed(late)
    assert number == 4429 and reason.startswith("serve_full: ")
    for client in clients:
        client.socket.close()
    assert all_left(server_port)


class FloodingClient:
    """A client that sends sound as fast as its socket takes it, and does not wait for anything."""

    def __init__(self, port: int, reads: bool):
        self.socket, self.reads = socket.create_connection(("127.0.0.1", port), timeout=60), reads
        self.socket.sendall(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert self.socket.recv(4096).startswith(b"HTTP/1.1 101")
        start = json.dumps(START | {"fps": 240}).encode()
        self.waiting = b"\x81\xfe" + len(start).to_bytes(2) + bytes(4) + start  # masked by zeros
        self.frame = b"\x82\xff" + (200_000).to_bytes(8) + bytes(4) + sound(6.25)
        self.socket.setblocking(False)
        self.num_sent = 0  # bytes

    def pump(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while self.waiting or len(self.frame):
                self.waiting = self.waiting or self.frame
                count = self.socket.send(self.waiting)
                self.num_sent += count
                self.waiting = self.waiting[count:]
        with suppress(BlockingIOError, ConnectionError):
            while self.reads and self.socket.recv(2**20):
                pass


def test_others_cost_nobody_a_frame(server_port, monkeypatch):
    """One stalls, one floods, one vanishes, one talks nonsense: a fifth gets all its frames, in order."""
    monkeypatch.setattr(connection, "SEND_SECONDS", 1.0)
    stalled, gone = (FloodingClient(server_port, reads=False) for _ in range(2))
    flood = FloodingClient(server_port, reads=True)
    nonsense, steady = Client(server_port), Client(server_port)
    for number in range(40):
        steady.send_audio(sound(0.1, number))
        flood.pump()
        stalled.pump()
        if number < 5:
            gone.pump()
        if number == 5:  # a reset, without a goodbye
            gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            gone.socket.close()
        if number < 10:
            nonsense.socket.send(random.Random(number).randbytes(999))
    assert steady.end()["num_frames"] == 120
    np.testing.assert_array_equal(steady.column("numbers"), np.arange(120))
    np.testing.assert_array_equal(steady.column("samples"), np.arange(120) * 16000 // 30)
    stalled.socket.close()
    flood.socket.close()
    nonsense.end()
    assert all_left(server_port)


def test_who_does_not_read_is_read_no_further_and_closed(server_port, monkeypatch):
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.5)
    assert all_left(server_port)
    stalled, end = FloodingClient(server_port, reads=False), time.monotonic() + 120
    was_open = False
    while time.monotonic() < end:
        stalled.pump()
        is_open = bool(health(server_port)["streams"])
        if was_open and not is_open:
            break
        was_open |= is_open
        time.sleep(0.05)
    stalled.socket.close()
    assert was_open and not is_open
    assert stalled.num_sent < 40 * 2**20  # what sockets and the server hold; it would take all


def test_a_large_file_is_refused_before_it_is_read(server_port, monkeypatch):
    monkeypatch.setattr("bilabial.serve.app.MAX_FILE_BYTES", 2**20)
    with socket.create_connection(("127.0.0.1", server_port), timeout=60) as client:
        client.sendall(b"POST /v1/animate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        with suppress(ConnectionError):
            client.sendall(bytes(2**21))
        assert client.recv(4096).startswith(b"HTTP/1.1 413")
