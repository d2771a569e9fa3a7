"""Messages for users of the training kit, added to bilabial.errors whenever bilabial.training is imported.

Their Chinese is in app/sentences.json, as that of all others.
"""

from bilabial.errors import SENTENCES

SENTENCES |= {
    "average_count": "{models} models and {weights} weights were given; an average takes two models or more "
    "and a weight for each",
    "average_other": "{name} has the {part} {own}, but {first} {accepted}; give the model first that started "
    "from the other",
    "average_sizes": "models of different sizes have no average ({name})",
    "average_weights": "--weights must be numbers above 0, got {got}",
    "beat_emotions": "{path} holds speeches of two emotions: {names}",
    "calibrate_few": "{sealed} sealed and {opened} open frames are too few to calibrate, {least} are needed",
    "calibrate_mixed": "the ratio does not separate sealed ({sealed:.2f}) from open ({opened:.2f}) frames; "
    "keep the default",
    "calibration_fields": "{path} is not what calibrate.py writes: it sets {names}",
    "calibration_file": "{path} is not what calibrate.py writes ({error})",
    "card_lacks": "{name} lacks {missing}",
    "card_mark": "{path} has no place marked <!-- {name} --> ... <!-- /{name} -->",
    "card_picture": "the card shows {name}, which is not in {path}",
    "card_tables": "the tables of {name} are not those of metrics.json; evaluate.py --card writes them",
    "checkpoint_failed": "the checkpoint of step {step} could not be written to {path} ({error}); that of "
    "step {last} is kept, and the same command goes on from it",
    "checkpoint_first": "the checkpoint of step {step} could not be written to {path} ({error}); there is "
    "none yet, and the same command starts anew",
    "compiler_missing": "--compile needs a C++ compiler, and there is no {name} on the PATH; install it "
    "(apt-get install g++), name another one in CXX, or leave --compile out",
    "corpus_cell": "{path} line {line}: {column} must be one of {accepted}, or empty, got {got}",
    "corpus_cells": "{path} line {line} has more cells than columns; a comma in a cell needs quotes",
    "corpus_empty": "{path} holds no takes for the reader {reader}",
    "corpus_file": "{path} line {line} names {name}, which is not in {folder}",
    "corpus_intensity": "{path} line {line}: intensity must be a number from 0 to {limit}, got {got}",
    "corpus_name": "{path} is not named like {example}",
    "corpus_reader": "reader must be one of {accepted}, got {got}",
    "corpus_table": "{path} has no metadata.csv with the columns {columns}",
    "corpus_twice": "{path} names the take {name} twice",
    "curves_sound": "{path} has no sound beside it; {accepted} are looked for",
    "data_columns": "{name} is not a data set made by train/prepare.py: it lacks {missing}",
    "data_files": "{path} is no data set: prepare.py writes README.md and data/*.parquet",
    "data_name": "two tables would be called {name}; rename the data set {path}",
    "data_no_face": "no row of {path} shows a face",
    "data_no_lips": "no row has lips: prepare the data set anew with train/prepare.py",
    "data_no_phones": "{path} has no captured rows with phone times; run train/pretrain/align_phones.py "
    "first",
    "data_no_rows": "{path} holds no row",
    "data_no_training": "{names} has no split 'train'; it is for evaluation only",
    "data_no_validation": "{names} has no split 'validation' for --patience; prepare it with one, or give 0",
    "data_not_finite": "{path} holds coefficients that are not numbers",
    "encoder_family": "--audio_encoder {name} is a {got}; supported are {accepted}",
    "encoder_load": "--audio_encoder {name} cannot be loaded: {error}",
    "espeak_missing": "espeak-ng could not be started ({error}); apt-get install espeak-ng",
    "espeak_voice": "espeak-ng has no voice {got}",
    "figures_command": "python train/evaluate.py --model {model} --dataset DATA --output {path} writes it",
    "figures_learned": "metrics.json is of the split '{name}', from which the model learned",
    "figures_missing": "metrics.json lacks {missing} of {name}",
    "figures_no_data": "metrics.json holds no data set",
    "figures_no_file": "there is no {path}",
    "figures_not_finite": "metrics.json says {names} of {name} is not a number",
    "figures_other": "metrics.json is of other weights",
    "figures_unnamed": "metrics.json is of weights that it does not name",
    "git_changes": "changes not committed: {names}; --allow_dirty publishes them",
    "git_folder": "{path} is not under git ({error}); --allow_dirty does without",
    "git_missing": "git is not installed, which tells what is published; --allow_dirty does without",
    "hub_import": "{name} imports {package}, which users of the Hub need not have",
    "hub_sibling": "{name}: '{module}' is not a file beside it",
    "kokoro_parts": "the parts of Kokoro do not join to the model that their packages state",
    "label_unknown": "{corpus} has no {kind} label {got}; known are {accepted}",
    "labels_damaged": "{path} has phone labels that cannot be read: {error}",
    "labels_empty": "it holds no phones",
    "labels_line": "every line of labels must be 'start end phone'",
    "labels_tier": "a TextGrid in Praat's long format with a tier {accepted} is read",
    "license_commerce": "the model learned from {names}, which forbids commercial use, and {license} allows "
    "it; give a license like --license cc-by-nc-4.0, or --allow_non_commercial if you may all the same",
    "livelink_sound": "{path} has no sound: of {count} movies and sounds none has a timecode within its "
    "recording, nor the name {name}",
    "loss_not_finite": "{name} is {value} at step {step}; the checkpoint of step {last} is kept; try a lower "
    "--learning_rate",
    "loss_not_finite_first": "{name} is {value} at step {step}; there is no checkpoint; try a lower "
    "--learning_rate",
    "model_failed": "{path} could not be written ({error}); the last checkpoint is kept, and the same "
    "command writes the model from it",
    "option_excludes": "{option} and {other} cannot be given together: both set the speech encoder",
    "option_least": "{option} must be at least {low:g}, got {got}",
    "option_needs": "{option} needs {missing}",
    "option_range": "{option} must be from {low:g} to {high:g}, got {got}",
    "option_share": "{option} must be from 0 to below 1, got {got}",
    "output_not_data": "{path} is in the way: a data set would take the place of {folder}, which is none; "
    "give another folder",
    "output_not_model": "{path} is in the way: a model would take its place, and it is none; give another "
    "--output",
    "output_used": "{path} holds a README.md and no data set; give a folder for the data set alone",
    "precision_launched": "--mixed_precision {got} is not supported; give accelerate launch bf16 or no",
    "preset_fields": "{path} sets {names}, which {owner} does not have",
    "preset_name": "no preset {got}; there are {accepted}, or give the path of a .json file",
    "preset_sizes": "--init_from has other sizes than the preset asks for ({name}); a run that starts from a "
    "model has that model's sizes: give a preset without any, or none",
    "publish_differs": "{way} gives other coefficients in a clean interpreter than the model here",
    "publish_into_itself": "a dry run replaces {path}, which holds what is to be published; give another "
    "--output",
    "publish_load": "{name} does not load in a clean interpreter: {error}",
    "publish_metrics": "not published: {path} is not of train/evaluate.py ({error})",
    "publish_nothing": "nothing to publish: give --repo_id, --dataset or --space",
    "publish_output": "{path} is in the way, no dry run wrote it; give another --output",
    "publish_problems": "not published: {problems}",
    "publish_public": "{kind} {name} exists and is public; make it private in its settings, or leave out "
    "--private",
    "publish_repository": "{option} must look like name/model, got {got}",
    "publish_tag": "tag must look like v0.1.0, got {got}",
    "publish_tag_used": "{kind} {name} already has the tag {tag}, at {commit}, with another {file}; give a "
    "new --tag",
    "recognizer_file": "{path} is not a HAMAPK file",
    "recognizer_missing": "a phone recognizer is needed: pip install hama==1.7.0",
    "recognizer_shape": "the recognizer's {name} has shape {accepted}, the encoder's {got}",
    "recognizer_sizes": "the recognizer has (layers, size, heads) {accepted}, the encoder {got}",
    "run_other": "{path} holds a run with other arguments ({changed}); give another --output",
    "run_unknown": "{path} is of no run that began here; give another --output",
    "sound_ends": "{name} has no sound from {start:.1f} s on",
    "sources_empty": "{path} names no source",
    "sources_file": "{path} must be a list of {{source, license, rows, seconds}}, but: {error}",
    "sources_missing": "{path} lacks {name}, which train.py writes: nobody could tell whose data it has",
    "speech_missing": "no speech was found; give one of {options}",
    "speech_no_phones": "no phones are recognized in {path}: is it speech?",
    "speech_terms": "{path} must hold one line below the columns source and license: whose speech it is",
    "takes_dropped": "every take was dropped, the first because {reason}; the data set was left as it was, "
    "{path} tells more",
    "weights_not_finite": "the weights {name} hold what is not a number",
    "whisper_load": "{name} cannot be loaded as a Whisper model: {error}",
    "whisper_small": "{name} has {count} layers; whisper-base or larger is needed",
    "words_line": "{path} must hold lines of 'start end word'",
    "words_of_others": "{path} names none of the clips in {folder}",
    "words_path": "{path} is neither a JSON file nor a folder with .align files",
}
