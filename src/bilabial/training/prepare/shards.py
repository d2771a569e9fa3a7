"""Joins kept rows to the Parquet files of a data set, which `datasets` loads or streams."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from bilabial.errors import UserError
from bilabial.io.files import replace_folder
from bilabial.training.data.schema import ROWS_PER_GROUP, SCHEMA, missing_columns

PARTIAL = "data.partial"


def write_shards(splits: Mapping[str, Sequence[Path]], folder: Path, rows_per_shard: int) -> None:
    """Write FOLDER/data/SPLIT-00000-of-00002.parquet and so on; the old data are replaced at the end.

    splits: the files that hold the rows of each split, one row each. A file gets at most `rows_per_shard`.
    """
    partial = begin_data(folder)
    for split, paths in splits.items():
        count = -(-len(paths) // rows_per_shard)
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}.parquet"
            write_shard(paths[number * rows_per_shard :][:rows_per_shard], partial / name)
    replace_folder(folder / "data", partial)


def begin_data(folder: Path) -> Path:
    """FOLDER/data.partial, empty, for files that `replace_folder` puts in the place of FOLDER/data.

    Raises ValueError as `check_shards`.
    """
    check_shards(folder)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    (folder / PARTIAL).mkdir(parents=True)
    return folder / PARTIAL


def check_output(folder: Path) -> None:
    """Raise UserError where a data set in this folder would overwrite something else."""
    check_shards(folder)
    if (folder / "README.md").exists() and not ((folder / ".takes").exists() or (folder / "data").exists()):
        raise UserError("output_used", path=folder)


def check_shards(folder: Path) -> None:
    """Raise UserError where `write_shards` would remove files that are not a data set.

    That is anything in FOLDER/data without the columns of a data set, and anything in FOLDER/data.partial
    that is no Parquet file: those of a killed run may be cut off.
    """
    for path in sorted((folder / "data").glob("*")):
        if path.name.startswith("."):  # of a killed align.py or align_phones.py
            continue
        if path.suffix != ".parquet" or missing_columns(pyarrow.parquet.read_schema(path).names):
            raise _output_error(path, folder / "data")
    for path in sorted((folder / PARTIAL).glob("*")):
        if path.suffix != ".parquet" or not path.is_file():
            raise _output_error(path, folder / PARTIAL)


def _output_error(path: Path, folder: Path) -> UserError:
    return UserError("output_not_data", path=path, folder=folder)


def write_shard(paths: Sequence[Path], target: Path) -> None:
    """Join files of one row each to one file, holding a row group at a time."""
    with pyarrow.parquet.ParquetWriter(target, SCHEMA) as writer:
        for start in range(0, len(paths), ROWS_PER_GROUP):
            tables = [pyarrow.parquet.read_table(path) for path in paths[start : start + ROWS_PER_GROUP]]
            writer.write_table(pyarrow.concat_tables(tables).combine_chunks())
