"""Rows stay in files: what a process has of its own does not grow with the data set."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from support.paths import ROOT
from support.rows import row

from bilabial.training.data.schema import SCHEMA

pytestmark = pytest.mark.slow

ROWS, FEW, MANY = 80, 2, 10  # 9 s each; shards of that many rows
READER = """
import json, sys
from pathlib import Path

from bilabial.training.fit import train
from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.fit.initialization import build_model

def own_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

args, fields = parse_arguments(sys.argv[1:])
peak = 0
splits = train.load_splits(args)
model = build_model(splits["train"], args, fields)
windows, _ = train.build_windows(splits, model.config, args)
for number in range(len(windows)):
    windows[number]
    peak = max(peak, own_bytes())
print(json.dumps({"bytes": splits["train"].data.nbytes, "own": peak}))
"""


def read_all(folder: Path, **environment: str) -> dict:
    """What the trainer does with a data set, and a window of every row, in a process with a new cache."""
    own = {"PYTHONPATH": str(ROOT / "src"), "HF_HOME": str(folder / "cache")}
    command = [sys.executable, "-c", READER, "--dataset", str(folder), "--preset", "tiny"]
    command += ["--output", str(folder / "run"), "--augment", "False"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own | environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_rows_are_read_from_files(tmp_path):
    """And are seen when they are not: `datasets` can be told to copy them into memory."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16000 * 9).astype(np.float32)
    given = [row(f"{k}", np.roll(noise, k), fps=50.0) for k in range(ROWS)]
    shard = tmp_path / "shard.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(given, schema=SCHEMA), shard, row_group_size=10)
    for name, count in (("small", FEW), ("large", MANY)):
        (tmp_path / name / "data").mkdir(parents=True)
        for number in range(count):
            (tmp_path / name / "data" / f"train-{number:05d}-of-{count:05d}.parquet").hardlink_to(shard)
    small, large = read_all(tmp_path / "small"), read_all(tmp_path / "large")
    copied = read_all(tmp_path / "large", HF_DATASETS_IN_MEMORY_MAX_SIZE=str(2**40))
    more = large["bytes"] - small["bytes"]
    assert more > 200e6 and large["own"] - small["own"] < more / 4, (small, large)
    assert copied["own"] - small["own"] > more / 2, (small, copied)
    shutil.rmtree(tmp_path)
