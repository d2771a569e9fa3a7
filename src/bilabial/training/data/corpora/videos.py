"""Readers of collections of face videos. No video is opened: all metadata are in names and tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.expression_bilabial import MAX_INTENSITY, check_intensity
from bilabial.io.media import media_seconds
from bilabial.io.recordings import CURVE_SUFFIXES
from bilabial.io.tables import read_table
from bilabial.training.data.corpora.take import (
    AUDIO_SUFFIXES,
    SPLITS,
    VIDEO_SUFFIXES,
    Take,
    files_below,
    pieces_of,
    sound_beside,
    with_suffix_of,
)
from bilabial.training.data.emotions import emotion_of, intensity_of
from bilabial.training.old_names import current_columns

COLUMNS = ("file", "emotion", "intensity", "style", "split", "speaker", "source", "license")
RAVDESS_NAME = "-".join(
    [r"(\d\d)"] * 7
)  # modality, channel, emotion, intensity, statement, repetition, actor
CREMA_D_NAME = r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})"  # actor, sentence, emotion, level


def read_grid(folder: Path) -> Iterator[Take]:
    """GRID audiovisual corpus: SPEAKER/CLIP.mpg (or .mp4), or one speaker's folder. All takes are neutral.

    Cooke, Barker, Cunningham, Shao (2006), JASA 120, 2421. CC BY 4.0. The style is the speaker: grid_s1.
    Its .align files are words, not phones: `train/pretrain/align_phones.py --words FOLDER` reads them.
    """
    for video in files_below(folder, VIDEO_SUFFIXES):
        speaker = video.parent.name
        yield Take(
            id=f"grid/{speaker}/{video.stem}",
            video=video,
            style=f"grid_{speaker}",
            speaker=f"grid_{speaker}",
            source="GRID audiovisual corpus (Cooke, Barker, Cunningham, Shao 2006)",
            license="CC BY 4.0",
        )


def read_mead(folder: Path) -> Iterator[Take]:
    """MEAD: SPEAKER/video/front/EMOTION/level_N/CLIP.mp4; other views are left out.

    Wang et al. (2020), ECCV, "MEAD: A large-scale audio-visual dataset for emotional talking-face
    generation". Distributed for research, without a license of its own. The sound of videos without one is
    SPEAKER/audio/EMOTION/level_N/CLIP.m4a. Raises ValueError for an emotion or a level that is in no table.
    """
    for video in files_below(folder, VIDEO_SUFFIXES):
        *_, speaker, part, view, emotion, level, _ = ("", "", "", "", "", *video.parts)
        if (part, view) != ("video", "front"):
            continue
        sound = video.parents[4] / "audio" / emotion / level / video.name
        yield Take(
            id=f"mead/{speaker}/{emotion}/{level}/{video.stem}",
            video=video,
            audio=with_suffix_of(sound, AUDIO_SUFFIXES),
            emotion=emotion_of("MEAD", emotion, video),
            intensity=intensity_of("MEAD", level, video),
            style=f"mead_{speaker}",
            speaker=f"mead_{speaker}",
            source="MEAD (Wang et al. 2020)",
            license="research only, non-commercial",
        )


def read_ravdess(folder: Path) -> Iterator[Take]:
    """RAVDESS: Actor_12/01-01-05-02-01-01-12.mp4, at any depth; only speech with a face and sound.

    Livingstone, Russo (2018), PLoS ONE 13, e0196391. CC BY-NC-SA 4.0. Song (channel 02) and files without a
    face or without a sound (modality 02, 03) are left out. Raises ValueError for other names and labels.
    """
    for video in files_below(folder, VIDEO_SUFFIXES):
        modality, channel, emotion, level, *_, actor = _fields(video, RAVDESS_NAME, "01-01-05-02-01-01-12")
        if (modality, channel) == ("01", "01"):
            yield Take(
                id=f"ravdess/{video.stem}",
                video=video,
                emotion=emotion_of("RAVDESS", emotion, video),
                intensity=intensity_of("RAVDESS", level, video),
                style=f"ravdess_{actor}",
                speaker=f"ravdess_{actor}",
                source="RAVDESS (Livingstone, Russo 2018)",
                license="CC BY-NC-SA 4.0",
            )


def read_crema_d(folder: Path) -> Iterator[Take]:
    """CREMA-D: VideoFlash/1001_DFA_ANG_XX.flv (or any other video), at any depth.

    Cao, Cooper, Keutmann, Gur, Nenkova, Verma (2014), IEEE Transactions on Affective Computing 5, 377.
    Open Database License. The sound of videos without one is AudioWAV/1001_DFA_ANG_XX.wav, beside the
    videos' folder. Raises ValueError for other names and labels.
    """
    for video in files_below(folder, VIDEO_SUFFIXES):
        actor, _, emotion, level = _fields(video, CREMA_D_NAME, "1001_DFA_ANG_XX")
        yield Take(
            id=f"crema-d/{video.stem}",
            video=video,
            audio=with_suffix_of(video.parents[1] / "AudioWAV" / video.name, AUDIO_SUFFIXES),
            emotion=emotion_of("CREMA-D", emotion, video),
            intensity=intensity_of("CREMA-D", level, video),
            style=f"crema-d_{actor}",
            speaker=f"crema-d_{actor}",
            source="CREMA-D (Cao et al. 2014)",
            license="ODbL 1.0",
        )


def read_videos(folder: Path) -> Iterator[Take]:
    """Your own recordings: FOLDER/videos/* and FOLDER/metadata.csv.

    metadata.csv has a column `file` (relative to videos/) and optionally emotion, intensity (0 to 1.5),
    style, split, speaker, source, license; an empty cell takes the default, capitals and spaces around the
    names do not count, and other columns are ignored with a warning. Without speaker, all files belong to one
    speaker. A file may also be recorded curves (.csv, .json or .npz, see bilabial.io.recordings) with a sound
    of its name beside it. Raises UserError naming row and column.
    """
    table = folder / "metadata.csv"
    if not table.is_file():
        raise UserError("corpus_table", path=folder, columns=COLUMNS)
    (_, header), *rows = read_table(table) or [(1, [])]
    columns = current_columns([name.strip().lower() for name in header], str(table))
    if "file" not in columns:
        raise UserError("manifest_columns", path=table, accepted=COLUMNS, columns=header)
    unread = [name for name, column in zip(header, columns, strict=True) if column not in COLUMNS]
    if unread:
        said = UserError("manifest_unused", path=table, columns=unread, accepted=COLUMNS)
        warnings.warn(str(said), stacklevel=2)
    for number, row in rows:
        cells = {k: v.strip() for k, v in zip(columns, row, strict=False) if v.strip()}
        if any(map(str.strip, row[len(columns) :])):
            raise UserError("corpus_cells", path=table, line=number)
        take = _take_of_row(cells, folder, number)
        yield from pieces_of(take, _seconds_of(take.audio)) if take.curves else (take,)


def _seconds_of(sound: Path) -> float:
    """Duration of a sound in seconds, 0 where it cannot be read: its take then fails later."""
    try:
        return media_seconds(sound)
    except ValueError:
        return 0.0


def _fields(video: Path, pattern: str, example: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, video.stem)
    if not match:
        raise UserError("corpus_name", path=video, example=example + video.suffix)
    return match.groups()


def _take_of_row(row: dict[str, str], folder: Path, number: int) -> Take:
    where = {"path": folder / "metadata.csv", "line": number}
    if "file" not in row:
        raise UserError("manifest_file", **where)
    file = (folder / "videos" / row["file"]).resolve()
    if not file.is_file():
        raise UserError("corpus_file", **where, name=row["file"], folder=folder / "videos")
    for column, accepted in (("emotion", EMOTIONS), ("split", SPLITS)):
        if row.get(column, accepted[0]) not in accepted:
            raise UserError("corpus_cell", **where, column=column, accepted=accepted, got=row[column])
    optional: dict[str, Any] = {
        key: row[key] for key in ("style", "speaker", "source", "license") if key in row
    }
    curves = file.suffix.lower() in CURVE_SUFFIXES
    return Take(
        id=f"videos/{row['file']}",
        video=None if curves else file,
        curves=file if curves else None,
        audio=sound_beside(file) if curves else None,
        emotion=row.get("emotion", "neutral"),
        intensity=_intensity(row.get("intensity", "1"), where),
        split=row.get("split"),
        **optional,
    )


def _intensity(written: str, where: dict[str, Any]) -> float:
    try:
        return check_intensity(float(written))
    except ValueError as error:
        raise UserError("corpus_intensity", **where, limit=MAX_INTENSITY, got=written) from error
