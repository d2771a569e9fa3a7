"""`bilabial live`: animate a face in other programs from a microphone, a file or a server."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import load_audio
from bilabial.serve.app import build_watch_app
from bilabial.serve.faces import ARKIT, Faces, RigFrames
from bilabial.serve.outputs import ifacialmocap as ifm
from bilabial.serve.outputs import live_link as link
from bilabial.serve.outputs import vmc as osc
from bilabial.serve.outputs.face import Output
from bilabial.serve.outputs.watch import WatchOutput
from bilabial.serve.playout import Playout, Sender
from bilabial.serve.protocol import Frames
from bilabial.serve.run import BackgroundServer

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.clip import FaceClip
    from bilabial.options import AnimateOptions
    from bilabial.runtime.animator import OnnxAnimator
    from bilabial.streaming import FaceStream

PIECE_SECONDS = 0.05
Pieces = Iterator[np.ndarray | None]


def parse_address(text: str, default_port: int) -> tuple[str, int]:
    """HOST:PORT, HOST, or PORT of this machine. Raises UserError for anything else."""
    if text.isdecimal():
        text = f":{text}"
    host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
    number = int(port) if port.isdecimal() else -1 if colon else default_port
    if not 0 < number < 65536 or not (host or colon) or any(sign.isspace() for sign in text):
        raise UserError("output_address", got=text)
    return host.strip("[]") or "127.0.0.1", number


def open_outputs(
    live_link: Sequence[str] = (), vmc: Sequence[str] = (), ifacialmocap: Sequence[str] = ()
) -> list[Output]:
    """Outputs at addresses. Raises UserError for an invalid address."""
    outputs: list[Output] = []
    outputs += [link.LiveLinkOutput(*parse_address(text, link.PORT)) for text in live_link]
    outputs += [osc.VmcOutput(*parse_address(text, osc.PORT)) for text in vmc]
    outputs += [ifm.IFacialMocapOutput(*parse_address(text, ifm.PORT)) for text in ifacialmocap]
    return outputs


def microphone(device: str | None = None) -> Pieces:
    """Sound (S,) of a microphone at 16 kHz as it arrives, None meanwhile.

    device: its number or a part of its name, None = the system's. Raises UserError where there is none.
    """
    sounddevice = _sounddevice()
    pieces: queue.Queue[np.ndarray] = queue.Queue()
    chosen = int(device) if device is not None and device.isdecimal() else device
    try:
        stream = sounddevice.InputStream(
            SAMPLING_RATE, round(PIECE_SECONDS * SAMPLING_RATE), chosen, channels=1, dtype="float32",
            callback=lambda samples, *_: pieces.put(samples[:, 0].copy()),
        )  # fmt: skip
    except (sounddevice.PortAudioError, ValueError) as error:
        raise UserError("microphone_missing", error=error) from error
    with stream:
        while True:
            try:
                yield pieces.get(timeout=1 / 240)
            except queue.Empty:
                yield None


def speak_along(pieces: Pieces, stream: FaceStream, playout: Playout, rig: RigFrames) -> None:
    """Show the face of a stream until the sound ends."""
    playout.join(speak_along, rig.names, stream.fps, rig(stream.rest_face()[None])[0])
    count = 0
    for piece in pieces:
        if piece is not None:
            values = stream.feed(piece)
            _add(playout, speak_along, rig(values), count, stream.fps)
            count += len(values)
        playout.show_due()
    _add(playout, speak_along, rig(stream.finish()), count, stream.fps)
    _show_all(playout)


def play_clip(
    clip: FaceClip, playout: Playout, rig: RigFrames, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Show a clip, with its head, at the speed of speech."""
    values = rig(clip.values)
    playout.join(play_clip, rig.names, clip.fps, values[0])
    _add(playout, play_clip, values, 0, clip.fps, clip.head)
    _show_all(playout, sleep)


def follow_server(address: str, token: str | None, sender: Sender) -> None:
    """Show what a server's /v1/faces shows, until it ends. Raises UserError where it does not serve."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
    from websockets.sync.client import connect

    headers = {"Authorization": f"Bearer {token}"} if token else None
    url = address if address.startswith(("ws://", "wss://")) else f"ws://{address}"
    try:
        with connect(f"{url.rstrip('/')}/v1/faces", additional_headers=headers) as socket:
            for text in socket:
                face = json.loads(text)
                values = np.array([face["blendshapes"][name] for name in ARKIT_BLENDSHAPES], np.float32)
                sender.send(ARKIT_BLENDSHAPES, values, face["seconds"], 30.0, face["head"])
    except (ConnectionClosed, InvalidHandshake, InvalidURI, OSError) as error:
        raise UserError("stream_refused", address=address, error=error) from error


class Show:
    """Outputs that are open, as a context."""

    def __init__(
        self,
        live_link: Sequence[str],
        vmc: Sequence[str],
        ifacialmocap: Sequence[str],
        web: str | None,
        token: str | None,
        moves_head: bool,
    ):
        """Addresses of each kind of output. Raises UserError for an invalid or used one."""
        outputs = open_outputs(live_link, vmc, ifacialmocap)
        self._web: BackgroundServer | None = None
        if web is not None:
            host, port = parse_address(web, 0)
            watch = WatchOutput()
            outputs.append(watch)
            self._web = BackgroundServer(build_watch_app(watch, host, token), host, port)
        self._sender = Sender(outputs, moves_head)

    def __enter__(self) -> Show:
        if self._web:
            self._web.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._web:
            self._web.__exit__(*error)
        self._sender.close()

    def _playout(self, animator: Animator | OnnxAnimator) -> tuple[Playout, RigFrames]:
        return Playout(self._sender), Faces(animator).rig(ARKIT)

    def play(
        self, animator: Animator | OnnxAnimator, path: Path, options: AnimateOptions, aloud: bool
    ) -> None:
        """Show the face of a file, once. aloud: play its sound, too."""
        clip = animator(path, **options.arguments())
        if aloud:
            _sounddevice().play(load_audio(path, normalize=False), SAMPLING_RATE)
        play_clip(clip, *self._playout(animator))

    def listen(self, animator: Animator | OnnxAnimator, device: str | None, options: AnimateOptions) -> None:
        """Show the face of a microphone's speaker, until Ctrl-C."""
        pieces = microphone(device)
        speak_along(pieces, animator.stream(**options.arguments()), *self._playout(animator))

    def follow(self, address: str, token: str | None) -> None:
        """Show what a server shows."""
        follow_server(address, token, self._sender)


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio is missing
        raise UserError("microphone_extra", error=error) from error
    return sounddevice


def _add(
    playout: Playout,
    client: object,
    values: np.ndarray,
    first: int,
    fps: float,
    head: np.ndarray | None = None,
) -> None:
    if not len(values):
        return
    numbers = np.arange(first, first + len(values))
    samples = np.floor(numbers * (SAMPLING_RATE / fps) + 1e-6).astype(np.int64)
    frames = Frames(samples, np.zeros_like(numbers), numbers, values, head=head)
    playout.add(client, frames, SAMPLING_RATE)


def _show_all(playout: Playout, sleep: Callable[[float], None] = time.sleep) -> None:
    while playout.num_waiting:
        sleep(max(0.0, playout.show_due() - playout.now()))
