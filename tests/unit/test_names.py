import pytest
from support.errors import refused

from bilabial.app.player import player_props
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.names import SPELLINGS, arkit_name, columns_by_name, spellings_of

# The page is tested with the same ones.
SPELLED = {
    "jawOpen": ["jawOpen", "JawOpen", "JAWOPEN", "jawopen", "jaw_open", "jaw-open", "Jaw Open", " jawOpen ",
                "blendShape1.jawOpen", "head__jawOpen", "head|jaw_open", "rig:jawOpen", "Face/JawOpen",
                "ARKit_jawOpen", "CC_Base_Body.Jaw_Open"],
    "eyeBlinkLeft": ["eyeBlinkLeft", "EyeBlinkLeft", "eyeBlink_L", "EyeBlink_l", "eye_blink_l", "eyeBlink.L",
                     "eyeBlinkL", "Eye Blink Left", "Left Eye Blink", "L_EyeBlink", "leftEyeBlink",
                     "head__eyeBlink_L", "blendShape1.EyeBlink_L"],
    "mouthSmileRight": ["mouthSmile_R", "MouthSmileRight", "mouth smile right", "mouth-smile-R"],
    "mouthLeft": ["mouthLeft", "MouthLeft", "mouth_left", "mouth_L"],
    "jawRight": ["jaw_R", "JawRight", "jaw right"],
    "tongueOut": ["TongueOut", "tongue_out", "mesh_0_tongueOut"],
    None: ["", "_neutral", "HeadYaw", "LeftEyeYaw", "Timecode", "jaw", "open", "jawOpenLeft", "jawOpen_L",
           "leftMouth", "nojawOpen", "jawOpened", "browInnerUp_L", "jawOpen_mouthClose",
           "head.jawOpen_mouthSmile_L", "mouthClose_fix", "mouthSmile", "口を開く"],
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLED)
def test_a_spelling_means_one_name(name):
    assert {spelling: arkit_name(spelling) for spelling in SPELLED[name]} == dict.fromkeys(
        SPELLED[name], name
    )


def test_every_name_in_the_usual_spellings():
    for name in ARKIT_BLENDSHAPES:
        short = name.replace("Left", "_L").replace("Right", "_R")
        for spelling in (name, name[0].upper() + name[1:], name.lower(), short, f"shapes.{short}"):
            assert arkit_name(spelling) == name


def test_no_spelling_means_two_names():
    """The table would keep the last of them."""
    spelled = [spelling for name in ARKIT_BLENDSHAPES for spelling in spellings_of(name)]
    assert len(set(spelled)) == len(spelled) == len(SPELLINGS)


def test_the_page_has_the_same_table():
    assert player_props(None)["spellings"] == SPELLINGS


def test_columns_of_a_file():
    assert columns_by_name(["Timecode", "JawOpen", "mouthSmile_L"]) == {"jawOpen": 1, "mouthSmileLeft": 2}
    with refused("curves_twice", first="JawOpen", second="raw.jawOpen", name="jawOpen"):
        columns_by_name(["JawOpen", "raw.jawOpen"])
