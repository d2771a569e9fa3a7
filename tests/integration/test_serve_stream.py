"""Streams of the server: frames, their rig, flush, interrupt, and the faces that pages are shown."""

import json
import time

import numpy as np
import pytest
from support.serving import Client, sound, wait_closed
from websockets.sync.client import connect

from bilabial.clip import FaceClip
from bilabial.rig import RigProfile
from bilabial.serve.faces import Faces
from bilabial.serve.protocol import Kind


@pytest.mark.parametrize("size", [777, 6400, 10**6])
def test_a_stream_is_what_the_model_streams(server_port, random_animator, size):
    content = sound(2.5)
    client = Client(server_port)
    client.send_audio(content, size)
    ended = client.end()
    assert wait_closed(client.socket) == (1000, "ended")
    stream = random_animator.stream(motion=(), seed=0)
    samples = np.frombuffer(content, "<i2").astype(np.float32) / 32767
    expected = np.concatenate([stream.feed(samples), stream.finish()])
    np.testing.assert_allclose(
        client.column("values"), Faces(random_animator).rig("arkit")(expected), atol=1e-4
    )
    np.testing.assert_array_equal(client.column("numbers"), np.arange(75))
    np.testing.assert_array_equal(client.column("samples"), np.arange(75) * 16000 // 30)
    np.testing.assert_array_equal(client.column("chunks"), client.column("samples") * 2 // size)
    chunks = -(-len(content) // size)
    assert ended == {"type": "ended", "num_samples": 40000, "num_chunks": chunks, "num_frames": 75}


def test_started_tells_what_comes(server_port, random_animator):
    client = Client(server_port, fps=60)
    started = client.messages[0]
    assert started["fps"] == 60 and started["names"] == list(random_animator.model.config.blendshapes)
    rest = Faces(random_animator).rig("arkit")(random_animator.stream(fps=60).rest_face()[None])[0]
    np.testing.assert_allclose(started["rest"], rest, atol=1e-4)
    client.end()


@pytest.mark.parametrize("rig", ["arkit", "metahuman", "arkit_lr"])
def test_frames_are_those_of_the_rig(server_port, random_animator, rig):
    client = Client(server_port, rig=rig)
    client.send_audio(sound(1.0))
    client.end()
    stream = random_animator.stream(motion=(), seed=0)
    samples = np.frombuffer(sound(1.0), "<i2").astype(np.float32) / 32767
    values = np.concatenate([stream.feed(samples), stream.finish()])
    profile = RigProfile.load(rig)
    clip = profile.apply(
        FaceClip(stream.names, values, 30, random_animator.model.config.lip_distance_weights)
    )
    assert client.messages[0]["names"] == list(profile.names)
    np.testing.assert_allclose(client.column("values"), clip.values, atol=1e-4)


def test_a_flush_sends_what_waits(server_port):
    client = Client(server_port)
    client.send_audio(sound(0.05))
    client.send(type="flush")
    assert client.receive_until("flushed")["sample"] == 800
    assert len(client.column("numbers")) == 2
    client.send_audio(sound(0.5, 1))
    client.end()
    np.testing.assert_array_equal(client.column("numbers"), np.arange(17))


def test_an_interrupt_drops_what_waits(server_port):
    client = Client(server_port)
    client.send_audio(sound(1.0))
    client.send(type="flush")
    client.receive_until("flushed")
    client.send_audio(sound(60.0), 320_000)  # a minute ahead; most of it is never computed
    client.send(type="interrupt", sample=12000)
    interrupted = client.receive_until("interrupted")
    assert interrupted["sample"] == 11733 and interrupted["num_frames"] == 6  # frame 22 of sample 12000
    client.send_audio(sound(0.4))
    ended = client.end()
    assert ended["num_samples"] == interrupted["next_sample"] + 6400 == 16000 + 60 * 16000 + 6400
    kinds = [part.kind for part in client.frames]
    returned = client.frames[kinds.index(Kind.REST)]
    assert len(returned) == 6 and returned.samples[-1] - interrupted["sample"] == 3200
    np.testing.assert_allclose(returned.values[-1], client.messages[0]["rest"], atol=1e-4)
    after = client.frames[kinds.index(Kind.REST) + 1 :]
    assert sum(map(len, after)) == 12 and after[0].samples[0] == interrupted["next_sample"]
    np.testing.assert_array_equal(client.column("numbers"), np.arange(ended["num_frames"]))
    assert ended["num_frames"] < 1500  # of 1,848


def test_an_interrupt_without_a_sample_is_at_the_last_frame(server_port):
    client = Client(server_port)
    client.send_audio(sound(1.0))
    client.send(type="flush")
    client.receive_until("flushed")
    client.send(type="interrupt")
    assert client.receive_until("interrupted")["sample"] == client.column("samples")[-1] == 29 * 16000 // 30
    assert client.end()["num_frames"] == 36


def test_the_face_is_shown_to_pages(server_port):
    with connect(f"ws://127.0.0.1:{server_port}/v1/faces") as page:
        client = Client(server_port)
        client.send_audio(sound(0.5))
        client.send(type="flush")
        client.receive_until("flushed")
        faces, end = [], time.monotonic() + 60
        while len({face["blendshapes"]["jawOpen"] for face in faces}) < 5 and time.monotonic() < end:
            faces.append(json.loads(page.recv(timeout=60)))
        client.socket.close()
    assert len({face["blendshapes"]["jawOpen"] for face in faces}) == 5
    assert len(faces[-1]["blendshapes"]) == 52
    assert faces[-1]["seconds"] > faces[0]["seconds"]
