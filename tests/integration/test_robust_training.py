"""Training that is killed, split over processes, or fed what it should not be."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from support.errors import refused
from support.paths import EXAMPLE, ROOT
from support.rows import row, write_rows
from support.scripts import run_here

from bilabial.animator import Animator
from bilabial.training.data.augmentation import Augmentation
from bilabial.training.data.noises import speech_level_db
from bilabial.training.data.schema import BrokenRow
from bilabial.training.fit import train
from bilabial.training.fit.arguments import PRESETS
from bilabial.training.fit.checkpoints import Progress, newest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_cpu")]

TRAIN = str(ROOT / "train" / "train.py")
STEPS = 80  # of the run that is killed; a checkpoint after each second


@pytest.fixture(scope="module")
def rows(speech) -> list[dict]:
    sounds = [speech[k * 4000 : k * 4000 + 20000] for k in range(7)]
    made = [row(f"{k}", sound, style="someone") for k, sound in enumerate(sounds)]
    return [one | {"valid": [True] * len(one["valid"])} for one in made]


@pytest.fixture(scope="module")
def dataset(rows, tmp_path_factory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "set", train=rows[:5], validation=rows[5:])


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    """The preset `tiny` without dropout, whose masks two processes cannot draw as one does."""
    path, fields = (
        tmp_path_factory.mktemp("preset") / "plain.json",
        json.loads((PRESETS / "tiny.json").read_text()),
    )
    path.write_text(json.dumps(fields | {"model": fields["model"] | {"dropout": 0.0}}))
    return path


def weights_of(run: Path) -> dict:
    return load_file(run / "model" / "model.safetensors")


def assert_equal_models(first: Path, second: Path) -> None:
    one, other = weights_of(first), weights_of(second)
    assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def assert_alike(first: Path, second: Path) -> None:
    """Both models are loaded, and give about the same animation."""
    one, other = (Animator.from_pretrained(run / "model")(EXAMPLE, seed=0).values for run in (first, second))
    assert one.std(axis=0).max() > 0.01 and np.abs(one - other).max() < 0.01


@pytest.fixture(scope="module")
def whole(dataset, preset, tmp_path_factory) -> Path:
    """Six steps at once, four windows each."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        run_here("--dataset", dataset, "--preset", preset, "--output", output, "--batch_size", 4)
    return output


def reached(checkpoints: Path) -> int:
    """The newest checkpoint's step, by its name alone: a running trainer may just now replace it."""
    return max((int(path.name.removeprefix("step_")) for path in checkpoints.glob("step_*")), default=0)


def test_killed_five_times_it_ends_in_the_same_weights(dataset, tmp_path):
    """kill -9 at random moments, wherever it is then: in a step, a validation or a checkpoint."""
    options = ["--dataset", dataset, "--preset", "tiny", "--max_steps", STEPS, "--num_workers", 1]
    run_here(*options, "--output", tmp_path / "whole")
    options += ["--output", tmp_path / "run"]
    checkpoints, last = tmp_path / "run" / "checkpoints", 0
    for _ in range(5):
        killed = subprocess.Popen(
            [sys.executable, TRAIN, *map(str, options)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=os.environ | {"ACCELERATE_USE_CPU": "true"},
        )  # fmt: skip
        target = last + random.randint(2, STEPS // 8)
        while killed.poll() is None and reached(checkpoints) < target:
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 0.1))
        os.killpg(killed.pid, signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        last = newest(checkpoints).step
        assert target <= last < STEPS
    run_here(*options)
    assert_equal_models(tmp_path / "run", tmp_path / "whole")


def test_music_is_a_source_of_the_model(dataset, preset, tmp_path):
    """Recorded music that is trained on is named with its terms; a folder that names none is refused."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path / "run", "--batch_size", 4]
    music = tmp_path / "music"
    music.mkdir()
    shutil.copy(EXAMPLE, music / "piece.flac")
    with refused("speech_terms", path=music / "metadata.csv"):
        run_here(*options, "--music", music)
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    (music / "metadata.csv").write_text('source,license\n"A band",CC BY 4.0\n')
    run_here(*options, "--music", music, "--max_steps", 2)
    sources = json.loads((tmp_path / "run" / "model" / "sources.json").read_text())
    (piece,) = [one for one in sources if one["source"] == "A band"]
    assert piece["rows"] == 1 and piece["seconds"] > 1.0 and "CC BY 4.0" in piece.values()


def test_a_kill_between_two_checkpoints_leaves_a_whole_one(dataset, preset, whole, tmp_path, capsys):
    """Killed after the new one got its name and while the old one is removed; and while one is written."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path / "run", "--batch_size", 4]
    run_here(*options, "--stop_after_steps", 3)
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["step_0000003"]
    for name, lost in (("step_0000002", "optimizer.bin"), ("partial", "progress.json")):
        shutil.copytree(checkpoints / "step_0000003", checkpoints / name)
        (checkpoints / name / lost).unlink()
        (checkpoints / name / "left_over").touch()
    (checkpoints / "step_0000002" / "progress.json").write_text(json.dumps(asdict(Progress(2))))
    run_here(*options, "--stop_after_steps", 4)
    assert "resumed at step 3" in capsys.readouterr().out and not list(checkpoints.rglob("left_over"))
    run_here(*options)
    assert_equal_models(tmp_path / "run", whole)
    assert [path.name for path in checkpoints.iterdir()] == ["step_0000006"]


def test_a_checkpoint_that_is_half_written_is_none(dataset, preset, whole, tmp_path, monkeypatch, capsys):
    """Interrupted when weights and optimizer are written, and what says how far the run is not yet."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path, "--batch_size", 4]
    run_here(*options, "--stop_after_steps", 2)
    save = Accelerator.save_state

    def interrupted(self: Accelerator, *arguments: object) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Accelerator, "save_state", interrupted)
        run_here(*options)
    assert newest(tmp_path / "checkpoints").step == 2
    run_here(*options)
    assert "resumed at step 2" in capsys.readouterr().out
    assert_equal_models(tmp_path, whole)


def test_two_processes_compute_what_one_does(dataset, preset, whole, tmp_path):
    """A real `accelerate launch` of two: twice two windows make the same step as four."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--main_process_port", "0", TRAIN, "--dataset", dataset, "--preset", preset]
    command += ["--output", tmp_path, "--batch_size", 2]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    both, alone = weights_of(tmp_path), weights_of(whole)
    assert json.loads((tmp_path / "arguments.json").read_text())["num_processes"] == 2
    moved = max(float((value - value.mean()).abs().max()) for value in alone.values())
    assert max(float((both[name] - alone[name]).abs().max()) for name in alone) < 1e-4 * moved
    losses = [newest(run / "checkpoints").best_loss for run in (tmp_path, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_model_hears_what_augmentation_makes_of_the_sound(dataset, preset, whole, tmp_path, monkeypatch):
    """The same windows, all of them 40 dB softer than any would be, train something else."""
    softer = partial(Augmentation, gain_db=(-52.0, -34.0), quiet_gain_db=(-70.0, -52.0))
    monkeypatch.setattr(train, "Augmentation", softer)
    run_here("--dataset", dataset, "--preset", preset, "--output", tmp_path, "--batch_size", 4)
    soft, loud = weights_of(tmp_path), weights_of(whole)
    assert any(not soft[name].equal(loud[name]) for name in loud)


def test_teachers_listen_to_the_sound_before_augmentation(dataset, tmp_path, monkeypatch):
    sounds = []

    class Noting(train.EncoderDistillation):
        def forward(
            self, states: torch.Tensor, clean: torch.Tensor, *others: object, **named: object
        ) -> dict:
            sounds.append(clean)
            return super().forward(states, clean, *others, **named)

    softer = partial(Augmentation, gain_db=(-52.0, -34.0), quiet_gain_db=(-70.0, -52.0), silence_share=0.0)
    monkeypatch.setattr(train, "Augmentation", softer)
    monkeypatch.setattr(train, "EncoderDistillation", Noting)
    small = {"hidden_size": 16, "decoder_dilations": [1], "style_size": 4}
    path = tmp_path / "distillation.json"
    path.write_text(
        json.dumps({"distillation_weight": 1.0, "window_seconds": 0.6, "num_workers": 0, "model": small})
    )
    options = ["--preset", path, "--output", tmp_path / "run", "--batch_size", 4, "--max_steps", 1]
    run_here("--dataset", dataset, *options)
    assert (speech_level_db(torch.cat(sounds)) > -45).float().mean() > 0.5  # normalized speech is at -23


@contextmanager
def full_disk() -> Iterator[None]:
    """No file gets larger than 20 kB; weights need more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_last_checkpoint(dataset, preset, whole, tmp_path):
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path / "run", "--batch_size", 4]
    run_here(*options, "--stop_after_steps", 2)
    with full_disk(), refused("checkpoint_failed", step=4, last=2):
        run_here(*options)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_0000002"]
    run_here(*options)
    assert_equal_models(tmp_path / "run", whole)


def test_a_full_disk_keeps_the_last_model(dataset, preset, tmp_path):
    """Run again when it is done, a run writes its model again: the old one stays until there is a new one."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path, "--max_steps", 2]
    run_here(*options)
    kept = weights_of(tmp_path)
    with full_disk(), refused("model_failed"):
        run_here(*options)
    assert all(value.equal(kept[name]) for name, value in weights_of(tmp_path).items())
    assert not (tmp_path / "model.partial").exists()


@pytest.mark.parametrize("eval_steps, name, step", [(1, "validation/loss", 2), (6, "train/loss", 3)])
def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(
    dataset, preset, tmp_path, eval_steps, name, step
):
    """Step 1 learns nothing (warm-up), step 2 wrecks the model: validation sees it, or else the next step."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path, "--learning_rate", 1e30]
    options += ["--eval_steps", eval_steps, "--warmup_steps", 1]
    run_here(*options, "--stop_after_steps", 1)
    with refused("loss_not_finite", name=name, step=step, last=1):
        run_here(*options)
    kept = load_file(tmp_path / "checkpoints" / "step_0000001" / "model.safetensors")
    assert all(value.isfinite().all() for value in kept.values()) and not (tmp_path / "model").exists()


def with_odd_row(rows: list[dict], folder: Path, **changed: object) -> Path:
    """A data set with a broken row, which is not among those that the model starts from."""
    odd = rows[4] | {"id": "test/odd", "face": "pseudo_label", "emotion": "happy"} | changed
    return write_rows(folder, train=[*rows[:4], odd])


def test_a_row_with_numbers_that_are_none_is_named(rows, preset, tmp_path):
    values = np.array(rows[4]["coefficients"])
    values[7, 3] = np.nan
    data = with_odd_row(rows, tmp_path / "set", coefficients=list(values))
    with pytest.raises(BrokenRow, match="^row 'test/odd' .*coefficients .*finite"):
        run_here("--dataset", data, "--preset", preset, "--output", tmp_path / "run")


def test_a_row_without_sound_is_named_by_a_loaders_process(rows, preset, tmp_path):
    """As one sentence at the end of the script, without the traceback that the process sent along."""
    data = with_odd_row(rows, tmp_path / "set", audio={"bytes": b"RIFF, or so", "path": "odd.wav"})
    command = [sys.executable, TRAIN, "--dataset", data, "--preset", preset, "--output", tmp_path / "run"]
    command += ["--num_workers", 1]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment)
    said = [line for line in done.stderr.splitlines() if line.startswith("row 'test/odd' has sound ")]
    assert done.returncode == 1 and len(said) == 1 and "Traceback" not in done.stderr


def test_a_changed_preset_is_no_resumption(dataset, preset, tmp_path):
    fields = json.loads(preset.read_text())
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(fields))
    options = ["--dataset", dataset, "--preset", mine, "--output", tmp_path / "run"]
    run_here(*options, "--stop_after_steps", 1)
    mine.write_text(json.dumps(fields | {"learning_rate": 2e-3}))
    with refused("run_other", path=tmp_path / "run", changed="learning_rate was 0.001, is 0.002"):
        run_here(*options)
    mine.write_text(json.dumps(fields | {"model": fields["model"] | {"closure_weight": 2.0}}))
    with refused("run_other", path=tmp_path / "run") as raised:
        run_here(*options)
    assert "'closure_weight': 2.0" in raised.value.parameters["changed"]
    mine.write_text(json.dumps(fields))
    run_here(*options, "--num_workers", 1)  # which changes nothing that is computed
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_patience_ends_a_run_and_takes_the_best(dataset, preset, tmp_path, capsys):
    """Step 1 learns nothing (warm-up), the next ones wreck the model: after two of them it stops."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path, "--learning_rate", 0.5]
    options += ["--eval_steps", 1, "--warmup_steps", 1, "--patience", 2, "--augment", False]
    run_here(*options)
    assert "the best of 3 steps was 1" in capsys.readouterr().out
    steps = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in steps] == ["step_0000001", "step_0000003"]
    best, last = (load_file(path / "model.safetensors") for path in steps)
    saved = weights_of(tmp_path)
    assert all(saved[name].equal(best[name]) for name in best) and not saved["head.bias"].equal(
        last["head.bias"]
    )
    shutil.rmtree(tmp_path / "model")
    run_here(*options)  # killed before the model was written, it goes on to write the same
    assert "resumed at step 3" in capsys.readouterr().out
    assert all(value.equal(saved[name]) for name, value in weights_of(tmp_path).items())


def test_patience_needs_clips_to_wait_for(rows, preset, tmp_path):
    data = write_rows(tmp_path / "set", train=rows[:2])
    with refused("data_no_validation", names=str(data)):
        run_here("--dataset", data, "--preset", preset, "--output", tmp_path / "run", "--patience", 1)


def test_bf16_is_asked_of_the_launcher(dataset, preset, whole, tmp_path):
    """`accelerate launch --mixed_precision bf16`: other sums, the same model within their precision."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    command += ["--mixed_precision", "bf16", TRAIN, "--dataset", dataset, "--preset", preset]
    command += ["--output", tmp_path, "--batch_size", 4]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "arguments.json").read_text())["precision"] == "bf16"
    losses = [newest(run / "checkpoints").best_loss for run in (tmp_path, whole)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)
    assert all(value.dtype == torch.float32 for value in weights_of(tmp_path).values())
    assert_alike(tmp_path, whole)


def test_a_precision_that_is_not_supported(dataset, preset, tmp_path, monkeypatch):
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path / "run"]
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with refused("precision_launched", got="'fp16'"):
        run_here(*options)
    assert not (tmp_path / "run").exists()


def test_compiling_without_a_compiler(dataset, preset, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused("compiler_missing"):
        run_here("--dataset", dataset, "--preset", preset, "--output", tmp_path / "run", "--compile")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(
    "BILABIAL_TEST_COMPILE" not in os.environ, reason="takes minutes; BILABIAL_TEST_COMPILE=1"
)
def test_a_compiled_model_is_saved_as_any_other(dataset, preset, whole, tmp_path):
    """Interrupted at step 2, too: its checkpoint is loaded by another compiled run."""
    options = ["--dataset", dataset, "--preset", preset, "--output", tmp_path, "--batch_size", 4, "--compile"]
    run_here(*options, "--stop_after_steps", 2)
    run_here(*options)
    losses = [newest(run / "checkpoints").best_loss for run in (tmp_path, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert weights_of(tmp_path).keys() == weights_of(whole).keys()  # no "_orig_mod."
    assert_alike(tmp_path, whole)
