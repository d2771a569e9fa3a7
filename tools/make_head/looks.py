"""The people that the script makes: MakeHuman's targets, colors and hair of each.

Colors are sRGB. Lengths are MakeHuman's decimeters.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """One person.

    targets: weights of MakeHuman's targets; awake: share of eyeWide at rest; lids: share of eyeBlink that the
    upper lids hang at rest; iris: its color, and that round the pupil; hair: of the darkest and of the
    lightest lock; style: one of haircut.CUTS; beard, freckles: 0..1.
    """

    targets: dict[str, float]
    awake: float = 0.25
    lids: float = 0.10
    skin: str = "#cf9675"
    blush: str = "#c4614d"
    lips: str = "#a9584f"
    lid: str = "#b87a64"
    brow: str = "#33241c"
    brow_height: float = 0.026
    eye_white: str = "#bdb0a6"
    iris: tuple[str, str] = ("#3f6068", "#6d4d2a")
    hair: tuple[str, str] = ("#33211a", "#86603f")
    style: str = "bob"
    shirt: str = "#39424f"
    beard: float = 0.0
    freckles: float = 0.0


def mean_of(weights: dict[str, float], female: float) -> dict[str, float]:
    """Targets of a mean of MakeHuman's young adults; female: the women's share."""
    sexes = {"female": female, "male": 1 - female}
    people = {
        f"macrodetails/{kind}-{sex}-young": weight * share
        for kind, weight in weights.items()
        for sex, share in sexes.items()
    }
    bodies = {
        f"macrodetails/universal-{sex}-young-averagemuscle-averageweight": share
        for sex, share in sexes.items()
    }
    return people | bodies


HEADS = {
    "ada": Look(
        mean_of({"caucasian": 0.4, "asian": 0.3, "african": 0.3}, 0.6) | {
            "head/head-oval": 0.3, "neck/neck-scale-horiz-decr": 0.25,
            "eyes/l-eye-scale-incr": 0.5, "eyes/r-eye-scale-incr": 0.5,
            "cheek/l-cheek-bones-incr": 0.25, "cheek/r-cheek-bones-incr": 0.25,
            "nose/nose-scale-horiz-decr": 0.25, "mouth/mouth-scale-horiz-incr": 0.3,
            "mouth/mouth-angles-up": 0.3, "mouth/mouth-scale-vert-decr": 0.15,
            "head/head-scale-horiz-decr": 0.15, "eyebrows/eyebrows-trans-down": 0.4,
        },
    ),
    "kofi": Look(
        mean_of({"african": 0.7, "caucasian": 0.2, "asian": 0.1}, 0.05) | {
            "eyes/l-eye-scale-incr": 0.4, "eyes/r-eye-scale-incr": 0.4, "eyebrows/eyebrows-trans-down": 0.3,
            "mouth/mouth-angles-up": 0.3, "head/head-oval": 0.2,
        },
        awake=0.55, lids=0.02, skin="#85573f", blush="#874536", lips="#7a443c", lid="#6b3f2c",
        brow="#0d0806", brow_height=0.031, eye_white="#8f8279", iris=("#3a2415", "#55341b"),
        hair=("#15110f", "#3a2d26"), style="crop", shirt="#7a6a58", beard=0.22,
    ),
}  # fmt: skip
