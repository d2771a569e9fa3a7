"""Speed and memory of the data loader, against the training steps.

    python -m benchmarks.loader --dataset data/grid --workers 0 1 2 4
    accelerate launch -m benchmarks.loader --dataset data/grid --workers 8 16 --batch_size 64 --compile

Windows per second that loaders with so many processes draw, beside the windows per second that are changed
(augmentation.py) and that steps of the default model take, both on this device. Memory is what the loader's
processes have of their own (RssAnon); the rows themselves are memory-mapped files. Linux only.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.augmentation import Augmentation, augment
from bilabial.training.data.schema import load_rows
from bilabial.training.data.windows import TrainingOrder, TrainingWindows, collate
from bilabial.training.fit.arguments import TrainArguments

WARM_UP_BATCHES = 4  # that a loader may have drawn while it started


def own_megabytes(pids: list[int | str]) -> float:
    """Memory that belongs to these processes alone, without mapped files."""
    status = "\n".join(Path(f"/proc/{pid}/status").read_text() for pid in pids)
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def measure_loader(loader: DataLoader) -> dict[str, float]:
    """Windows per second, and megabytes in the first and in the last quarter of the batches."""
    batches, megabytes, start = iter(loader), [], 0.0
    pids = ["self", *(worker.pid for worker in getattr(batches, "_workers", []))]
    for number, _ in enumerate(batches):
        if number == WARM_UP_BATCHES:
            start = time.perf_counter()
        if number in (len(loader) // 4, len(loader) - 1 - loader.num_workers * 2):  # workers still run
            megabytes.append(own_megabytes(pids))
    drawn = (len(loader) - 1 - WARM_UP_BATCHES) * loader.batch_size
    return {"windows_per_second": drawn / (time.perf_counter() - start), "mb": megabytes}


def windows_per_second(run: Callable[[], object], batch_size: int) -> float:
    """How many windows a second go through something that is done to a batch."""

    def seconds(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    count = max(3, min(200, round(20 * 3 / seconds(3))))  # after three that warm up
    return count * batch_size / seconds(count)


def measure_steps(batch: dict[str, torch.Tensor], config: BilabialConfig, compile_model: bool) -> float:
    """Windows per second that training steps on one and the same batch take."""
    accelerator = Accelerator(
        mixed_precision="bf16" if torch.cuda.is_available() else "no",
        dynamo_backend="inductor" if compile_model else None,
    )
    model = BilabialModel(config)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))

    def step() -> None:
        accelerator.backward(model(**batch).loss)
        optimizer.step()
        optimizer.zero_grad()

    return windows_per_second(step, len(batch["style"]))


def rows_of_table(args: argparse.Namespace) -> Iterator[str]:
    rows = load_rows(args.dataset, "train")
    yield f"{len(rows)} rows in files of {rows.data.nbytes / 2**20:.0f} MB, windows of {args.seconds} s\n"
    yield "| | windows/s | MB after a quarter | MB at the end |\n|---|---|---|---|"
    config = BilabialConfig(styles=["default", *sorted(set(rows.unique("style")) - {"default"})])
    num_frames = round(args.seconds * config.frame_rate_hz)
    windows = TrainingWindows(rows, config, num_frames, Augmentation(), emotion_share=0.6)
    for num_workers in args.workers:
        order = TrainingOrder(len(windows), 0, 0, args.batches * args.batch_size)
        loader = DataLoader(
            windows, args.batch_size, sampler=order, collate_fn=collate, num_workers=num_workers
        )
        result = measure_loader(loader)
        memory = " | ".join(f"{one:.0f}" for one in result["mb"])
        yield f"| {num_workers} loader processes | {result['windows_per_second']:.0f} | {memory} |"
    on_gpu = torch.cuda.is_available()
    name, device = (torch.cuda.get_device_name(), "cuda") if on_gpu else ("CPU", "cpu")
    batch = collate([windows[number] for number in range(args.batch_size)])
    batch = {field: value.to(device) for field, value in batch.items()}
    sound = batch["input_values"], batch["attention_mask"], batch.pop("voices"), batch.pop("changes")
    speed = windows_per_second(lambda: augment(*sound), args.batch_size)
    yield f"| changes of {args.batch_size} on {name} | {speed:.0f} | | |"
    speed = measure_steps(batch, config, args.compile)
    yield f"| training steps of {args.batch_size} on {name} | {speed:.0f} | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="data set whose split 'train' is drawn from")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="loader processes to try")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=60, help="batches to draw with each")
    parser.add_argument("--seconds", type=float, default=TrainArguments.window_seconds)
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    for line in rows_of_table(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
