import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, concatenate_datasets
from support.rows import row

from bilabial.training.data.schema import SCHEMA
from bilabial.training.data.sources import (
    Source,
    join_sources,
    sources_of,
    sources_of_files,
    sources_of_model,
    write_sources,
)


def entry(source: str, license: str = "CC0", rows: int = 1, seconds: float = 1.0) -> Source:
    return Source(source, license, rows, seconds)


def data_set(speech, *sources: tuple[str, str]):
    rows = [
        row(str(number), speech) | {"source": source, "license": license}
        for number, (source, license) in enumerate(sources)
    ]
    return Dataset(pyarrow.Table.from_pylist(rows, schema=SCHEMA))


def test_rows_are_counted_by_source_and_license(speech, tmp_path):
    """The same source under two licenses is two entries, and a row given twice is one; in files, too."""
    rows = data_set(speech, ("A", "MIT"), ("B", "CC0"), ("A", "MIT"), ("A", "unknown"))
    seconds = -(-len(speech) * 25 // 16000) / 25
    once = round(seconds, 1)
    expected = [entry("A", "MIT", 2, round(2 * seconds, 1)), entry("A", "unknown", 1, once)]
    expected.append(entry("B", "CC0", 1, once))
    for given in (rows, concatenate_datasets([rows, rows])):
        assert sources_of(given) == expected
    others = data_set(speech, ("A", "CC BY-NC 4.0"))  # somebody else's file of the same name
    assert entry("A", "CC BY-NC 4.0", 1, once) in sources_of(concatenate_datasets([rows, others]))
    parts = tmp_path / "a.parquet", tmp_path / "b.parquet"
    for number, path in enumerate(parts):
        pyarrow.parquet.write_table(rows.data.table.slice(2 * number, 2), path)
    assert sources_of_files([*parts, parts[0]]) == expected


def test_sources_are_joined():
    own, earlier = [entry("A", rows=3), entry("B", rows=2)], [entry("B", rows=9), entry("A"), entry("C")]
    assert join_sources(own, earlier) == [entry("A", rows=3), entry("B", rows=9), entry("C")]
    assert join_sources([entry("A", "MIT")], [entry("A", "CC0")]) == [entry("A", "MIT"), entry("A", "CC0")]


def test_sources_of_a_model(tmp_path):
    write_sources(tmp_path / "model", [entry("A")])
    assert sources_of_model(str(tmp_path / "model")) == [entry("A")]
    (nameless,) = sources_of_model(str(tmp_path))
    assert nameless.license == "unknown" and str(tmp_path) in nameless.source


def test_the_embedded_model_names_its_sources():
    sources = sources_of_model("default")
    assert sum(one.rows for one in sources) == 8279
    assert {one.license for one in sources} >= {"CC BY 4.0", "CC BY-SA 3.0", "CC0", "Apache-2.0"}


def test_a_failed_write_leaves_the_old_list(tmp_path):
    write_sources(tmp_path, [entry("A")])
    with pytest.raises(TypeError):
        write_sources(tmp_path, [entry("A", rows=object())])
    assert sources_of_model(str(tmp_path)) == [entry("A")]
