"""Odd values of Python at every public call: an answer, or ValueError or FileNotFoundError in a sentence."""

import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from support.avatars import glb_bytes
from support.models import TINY, build_random

from bilabial import ARKIT_BLENDSHAPES, Animator, FaceClip
from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.io.exporters import to_glb
from bilabial.motion import Adjustments, Sound, add_motion, adjust, check_motion, check_seed

LONGEST_SENTENCE = 1500  # characters; names that are accepted are listed
HUGE = 10**400


def nested(wrap, value, times: int = 3000) -> object:
    for _ in range(times):
        value = wrap(value)
    return value


def itself() -> list:
    inner: list = []
    inner.append(inner)
    return inner


CLIP = FaceClip(ARKIT_BLENDSHAPES, np.random.default_rng(0).random((30, 52)).astype(np.float32), 30)
NOISE = (np.random.default_rng(0).standard_normal(1600) * 0.1).astype(np.float32)
NUMBERS = [
    None, True, False, -1, 0, 1, 1.5, HUGE, -HUGE, 2**63, 2**64, 1e308, float("nan"), float("inf"),
    -float("inf"), 1j, Decimal(1), Decimal("NaN"), Decimal("sNaN"), Fraction(1, 3), Fraction(HUGE),
    np.float32(1), np.int64(3), np.bool_(True), np.array(1.0), np.datetime64("2020-01-01"), torch.tensor(1.0),
    datetime.timedelta(1),
]  # fmt: skip
TEXTS = ["x", "", "happy", "../x", "a\0b", "\ud800", b"", b"x", "x" * 100000, Path("nope"), Path("/")]
ARRAYS = [
    np.array([1, 2]), np.array("x"), np.array([]), np.zeros((2, 2)), np.array([None]), torch.zeros(3),
    torch.zeros(108, dtype=torch.long), torch.zeros(108, dtype=torch.complex64), torch.zeros(2, 108),
    torch.full((108,), torch.nan), torch.zeros(3, requires_grad=True),
]  # fmt: skip
MAPPINGS = [{}, {1: 2}, {None: 1}, {("a",): 1}] + [
    {name: value}
    for name in ("happy", "lively", "blink", "jaw")
    for value in (HUGE, None, "x", float("nan"), -1, 1j, Decimal("NaN"), np.array([1, 2]), torch.tensor(1.0))
]
LISTS = [
    [], [[]], [None], ["x"], [1], [("x",)], [(0,)], [(0, "happy", "x")], [(0, "happy")], [(0, HUGE)],
    [(HUGE, "happy")], [(-HUGE, "happy"), (HUGE, "sad")], [(float("nan"), "happy")], [("0", "happy")],
    [(Decimal("sNaN"), "happy")], [(0, {"happy": HUGE})], [(0, None)], [(0, "happy"), (0, "sad")], set(),
    {"happy"}, range(3), ["x"] * 100000, [(k, "happy") for k in range(5000)],
    nested(lambda inner: [inner], []), nested(lambda inner: {"happy": inner}, {}), itself(),
]  # fmt: skip
SOUNDS = [
    (16000, np.zeros(10)), (16000,), (0, np.zeros(10)), (HUGE, np.zeros(10)), (float("nan"), np.zeros(10)),
    (16000, None), (16000, "x"), (16000, [[1, 2], [3]]), (16000, [HUGE]), (16000, np.zeros(0)),
    (16000, np.zeros((3, 40))), (16000, np.zeros((3, 3, 3))), (16000, np.array([1j])),
    (16000, np.zeros(10, bool)), (16000, torch.zeros(10, requires_grad=True)), ("x", np.zeros(10)),
    (16000, object()), (16000, nested(lambda inner: [inner], [])), (np.zeros(10), 16000),
]  # fmt: skip
OTHERS = [object(), object, len, CLIP, FaceClip(["jawOpen"], np.zeros((30, 1)), 30)]
ODD = [*NUMBERS, *TEXTS, *ARRAYS, *MAPPINGS, *LISTS, *SOUNDS, *OTHERS]


@pytest.fixture(scope="module")
def animator() -> Animator:
    statistics = {"channel_means": [0.4] * 52, "channel_spreads": [0.1] * 52}
    config = BilabialConfig(**TINY | {"encoder_layers": 2} | statistics)
    return Animator(build_random(config), BilabialFeatureExtractor())


CALLS = {
    "call": lambda animator, odd: animator(odd),
    **{
        f"call {name}": lambda animator, odd, name=name: animator((16000, NOISE), **{name: odd})
        for name in ("emotion", "intensity", "style", "fps", "motion", "seed", "adjustments", "max_seconds")
    },
    **{
        f"stream {name}": lambda animator, odd, name=name: animator.stream(**{name: odd})
        for name in ("emotion", "intensity", "style", "fps", "motion", "seed", "level_db")
    },
    "set_emotion": lambda animator, odd: animator.stream().set_emotion(odd),
    "feed": lambda animator, odd: animator.stream().feed(odd),
    "reference": lambda animator, odd: animator.reference_style(odd),
    "amount": lambda animator, odd: animator.reference_style(CLIP, odd),
    "untrained": lambda animator, odd: animator.untrained_emotions(odd),
    "from_pretrained": lambda _, odd: odd is None or Animator.from_pretrained(odd),
    "animate": lambda animator, odd: animator.model.animate(odd, 16000),
    "animate rate": lambda animator, odd: animator.model.animate(NOISE, odd),
    "encode_emotion": lambda animator, odd: animator.model.encode_emotion(odd),
    "encode_schedule": lambda animator, odd: animator.model.encode_schedule(odd),
    "encode_style": lambda animator, odd: animator.model.encode_style(odd),
    "reference_style": lambda animator, odd: animator.model.reference_style(odd),
    "forward emotion": lambda animator, odd: animator.model(torch.zeros(1, 1600), emotion=odd),
    "forward style": lambda animator, odd: animator.model(torch.zeros(1, 1600), style=odd),
    "features": lambda animator, odd: animator.feature_extractor(odd, sampling_rate=16000),
    "names": lambda _, odd: FaceClip(odd, np.zeros((3, 1)), 30),
    "values": lambda _, odd: FaceClip(["jawOpen"], odd, 30),
    "fps": lambda _, odd: FaceClip(["jawOpen"], np.zeros((3, 1)), odd),
    "slice": lambda _, odd: CLIP.slice(odd, 1),
    "slice end": lambda _, odd: CLIP.slice(0, odd),
    "resample": lambda _, odd: CLIP.resample(odd),
    "select": lambda _, odd: CLIP.select(odd),
    "curve": lambda _, odd: CLIP[odd],
    "from_csv": lambda _, odd: FaceClip.from_csv(odd),
    "from_npz": lambda _, odd: FaceClip.from_npz(odd),
    "to_glb": lambda _, odd: to_glb(CLIP, "/dev/null", odd),
    **{
        name: lambda _, odd, name=name: adjust(CLIP, Adjustments(**{name: odd}))
        for name in ("smoothing_seconds", "strength", "lip_offset_mm", "symmetry")
    },
    "check_motion": lambda _, odd: check_motion(odd),
    "check_seed": lambda _, odd: check_seed(odd),
    "add_motion": lambda _, odd: add_motion(CLIP, Sound.of(NOISE, 16000, CLIP, 0), odd),
    "sound seed": lambda _, odd: Sound.of(NOISE, 16000, CLIP, odd),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_odd_values_are_answered_or_refused_in_a_sentence(animator, name):
    missing_names = (KeyError,) if name in ("select", "curve") else ()  # as documented
    for odd in ODD:
        try:
            CALLS[name](animator, odd)
        except (ValueError, FileNotFoundError, *missing_names) as error:
            assert 0 < len(str(error)) < LONGEST_SENTENCE, (name, type(odd))


@pytest.mark.parametrize("style", [[2], [-1], [0, 1], [2**40]])
def test_style_indices(animator, style):
    with pytest.raises(ValueError, match=r"\(1,\), of 0 to 1, got \["):
        animator.model(torch.zeros(1, 1600), style=torch.tensor(style))
    animator.model(torch.zeros(1, 1600), style=torch.tensor([1]))


SCENES = [
    b"{", b"[]", b"1", b"null", b"[" * 100000, b'{"meshes": 1}', b'{"meshes": [1]}', b'{"meshes": [{}]}',
    b'{"meshes": [{"primitives": []}]}', b'{"meshes": [], "nodes": [{"mesh": 7}]}', b'{"buffers": 5}',
    b'{"nodes": {"a": 1}}', b'{"meshes": [{"primitives": [1], "extras": {"targetNames": 3}}]}',
    b'{"nodes": [{"mesh": 0}], "accessors": 3, "meshes": [{"primitives": [{"targets": [{}]}], '
    b'"extras": {"targetNames": ["jawOpen"]}}]}',
]  # fmt: skip


@pytest.mark.parametrize("scene", SCENES, ids=range(len(SCENES)))
def test_heads_that_are_no_gltf(tmp_path, scene):
    (tmp_path / "head.glb").write_bytes(glb_bytes(scene))
    with pytest.raises(UserError) as error:
        to_glb(CLIP, tmp_path / "out.glb", tmp_path / "head.glb")
    assert error.value.code in ("glb_scene", "glb_shapes")
    assert error.value.parameters["path"] == tmp_path / "head.glb"
    assert not (tmp_path / "out.glb").exists()
