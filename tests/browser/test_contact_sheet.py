"""The contact sheet of the 3D head: which sounds it picks, and a small one in a real browser."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.browsing import three  # noqa: F401 a fixture
from support.media import write_video

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from tools.chromium import CHROMIUM
from tools.make_head.contact_sheet import (
    LABEL_PIXELS,
    ContactSheetArguments,
    Voice,
    main,
    pick_phone,
    tiles_of_sentences,
    tiles_of_sounds,
)
from tools.make_head.picture import open_head

pytestmark = pytest.mark.slow

PHONES = [("SIL", 0.0, 0.1), ("M", 0.1, 0.3), ("UH", 0.3, 0.4), ("UW", 0.4, 0.6), ("UW", 0.6, 0.9)]


def test_the_longest_phone_of_the_first_wanted_name_is_shown():
    assert pick_phone(PHONES, ("u", "ʊ")) == ("UW", 0.6, 0.9)
    assert pick_phone(PHONES, ("ʃ", "ʊ")) == ("UH", 0.3, 0.4)
    assert pick_phone(PHONES, ("θ",)) is None


def test_a_row_a_sound_and_a_gap_where_it_is_not_said():
    rows = tiles_of_sounds([Voice("one", np.zeros(16000), PHONES), Voice("two", np.zeros(16000), [])])
    assert len(rows) == 7 and all(row[1] is None for row in rows)
    said = {row[0].label.split(":")[0]: row[0] for row in rows if row[0]}
    assert set(said) == {"oo", "m"}
    assert said["oo"].seconds == pytest.approx(0.75) and not said["oo"].sealed
    assert said["m"].seconds == pytest.approx(0.2) and said["m"].sealed


def test_a_sentence_is_cut_into_rows_of_a_second():
    rows = tiles_of_sentences([Voice("one", np.zeros(24000), PHONES)], fps=12)
    assert [len(row) for row in rows] == [12, 6]
    assert [tile.sealed for tile in rows[0][:5]] == [False, False, True, True, False]
    assert rows[0][6].label == "0.50 UW"


@pytest.mark.skipif(not CHROMIUM, reason="no chromium found (apt-get install chromium)")
def test_a_small_sheet(tmp_path, three):  # noqa: F811
    """Tiles differ where the face does; the film stands beside the head; what is not said is left blank."""
    images = [np.full((64, 96, 3), level, np.uint8) for level in (60, 200)]
    write_video(tmp_path / "film.mp4", [0.0, 0.5], images, seconds_of_sound=1.0)
    phones = [["M", 0.1, 0.3], ["UW", 0.5, 0.8]]
    (tmp_path / "clips.json").write_text(json.dumps({"film": {"phones": phones, "av_offset_ms": 20}}))
    output = tmp_path / "sheet.png"
    main(
        ContactSheetArguments(
            output, sounds=[tmp_path / "film.mp4"], voices=["none"], clips=tmp_path / "clips.json", size=64
        )
    )
    sheet = np.asarray(Image.open(output).convert("RGB"), np.float32)
    assert sheet.shape == (7 * (64 + LABEL_PIXELS), 2 * 64, 3)
    oo, m = (sheet[r * (64 + LABEL_PIXELS) + LABEL_PIXELS :][:64] for r in (0, 6))
    assert oo[:, :64].std() > 20 and m[:, :64].std() > 20  # a face each
    assert np.abs(oo[:, :64] - m[:, :64]).max() > 20
    assert m[32, 96] == pytest.approx(60, abs=6) and oo[32, 96] == pytest.approx(200, abs=6)  # the film
    assert (sheet[(64 + LABEL_PIXELS) :][: 64 + LABEL_PIXELS] == 255).all()  # ee is not said


@pytest.mark.skipif(not CHROMIUM, reason="no chromium found (apt-get install chromium)")
def test_another_view_and_what_is_no_head(tmp_path, three):  # noqa: F811
    with (
        pytest.raises(ValueError, match="front, .*'behind'"),
        open_head(64, "behind"),
    ):
        pass
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"no head")
    with pytest.raises(ValueError, match=r"broken\.glb .*drawn"), open_head(64, head=broken):
        pass
    with open_head(64, "below") as draw:
        values = np.zeros(len(ARKIT_BLENDSHAPES))
        closed = np.asarray(draw(values), np.float32)
        values[ARKIT_BLENDSHAPES.index("jawOpen")] = 1.0
        assert np.abs(np.asarray(draw(values), np.float32) - closed).mean() > 3


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed (apt-get install flite)")
def test_the_sentence_has_every_sound():
    from tools.make_head.contact_sheet import VOICES, speak

    for row in tiles_of_sounds([speak(name) for name in VOICES]):
        assert all(row), row


def test_wrong_arguments_are_said_in_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"--output .*\.png .*\.jpg.*sheet\.gif"):
        main(ContactSheetArguments(tmp_path / "sheet.gif"))
    with pytest.raises(SystemExit, match="--sounds .*--voices"):
        main(ContactSheetArguments(tmp_path / "sheet.png", voices=["none"]))
