"""Kept rows joined to the Parquet files of a data set, which `datasets` loads or streams."""

import ctypes
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from bilabial.data import ROWS_PER_GROUP, SCHEMA, missing_columns

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h and fs.h


def write_shards(splits: Mapping[str, Sequence[Path]], folder: Path, rows_per_shard: int) -> None:
    """Write FOLDER/data/SPLIT-00000-of-00002.parquet and so on; the old data give way whole or not at all.

    splits: the files that hold the rows of each split, one row each. A file gets at most `rows_per_shard`.
    """
    check_shards(folder)
    partial = folder / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for split, paths in splits.items():
        count = -(-len(paths) // rows_per_shard)
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}.parquet"
            write_shard(paths[number * rows_per_shard :][:rows_per_shard], partial / name)
    replace_folder(folder / "data", partial)


def check_shards(folder: Path) -> None:
    """Raise ValueError where FOLDER/data holds what is no data of ours, which `write_shards` would remove."""
    for path in sorted((folder / "data").glob("*")):
        if path.suffix == ".partial":  # of a killed align.py or phones.py
            continue
        if path.suffix != ".parquet" or missing_columns(pyarrow.parquet.read_schema(path).names):
            raise ValueError(
                f"{path} is in the way: a data set would take the place of {folder / 'data'}, which is none; "
                "give another folder"
            )


def write_shard(paths: Sequence[Path], target: Path) -> None:
    """Join files of one row each to one file, holding a row group at a time."""
    with pyarrow.parquet.ParquetWriter(target, SCHEMA) as writer:
        for start in range(0, len(paths), ROWS_PER_GROUP):
            tables = [pyarrow.parquet.read_table(path) for path in paths[start : start + ROWS_PER_GROUP]]
            writer.write_table(pyarrow.concat_tables(tables).combine_chunks())


def replace_folder(folder: Path, new: Path) -> None:
    """Put the folder `new` in the place of `folder`, in one step where the file system can swap two names.

    Where it cannot (not Linux, some network file systems), a kill between two renames leaves FOLDER missing
    and `new` in place, until the next run.
    """
    if not folder.exists():
        new.rename(folder)
    elif _swap(folder, new):
        shutil.rmtree(new)
    else:
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)


def _swap(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where that cannot be done."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    names = os.fsencode(first), os.fsencode(second)
    return bool(rename) and rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
