import json

import pyarrow
import pytest
from datasets import Dataset, concatenate_datasets
from sources import join_sources, sources_of, sources_of_model, write_sources
from test_data import row

from bilabial.data import SCHEMA


def entry(source: str, licence: str = "CC0", rows: int = 1, seconds: float = 1.0) -> dict:
    return {"source": source, "licence": licence, "rows": rows, "seconds": seconds}


def data_set(speech, *sources: tuple[str, str]):
    rows = [
        row(str(number), speech) | {"source": source, "licence": licence}
        for number, (source, licence) in enumerate(sources)
    ]
    return Dataset(pyarrow.Table.from_pylist(rows, schema=SCHEMA))


def test_rows_are_counted_by_source_and_licence(speech):
    """The same source under two licences is two entries, and a row given twice is one."""
    rows = data_set(speech, ("A", "MIT"), ("B", "CC0"), ("A", "MIT"), ("A", "unknown"))
    frames = -(-len(speech) * 25 // 16000)
    expected = [entry("A", "MIT", 2, 2 * frames / 25), entry("A", "unknown"), entry("B", "CC0")]
    for one in expected[1:]:
        one["seconds"] = frames / 25
    for given in (rows, concatenate_datasets([rows, rows])):
        assert sources_of(given) == [one | {"seconds": round(one["seconds"], 1)} for one in expected]


def test_sources_are_joined():
    own, earlier = [entry("A", rows=3), entry("B", rows=2)], [entry("B", rows=9), entry("A"), entry("C")]
    assert join_sources(own, earlier) == [entry("A", rows=3), entry("B", rows=9), entry("C")]
    assert join_sources([entry("A", "MIT")], [entry("A", "CC0")]) == [entry("A", "MIT"), entry("A", "CC0")]


def test_sources_of_a_model(tmp_path):
    write_sources(tmp_path / "model", [entry("A")])
    assert sources_of_model(str(tmp_path / "model")) == [entry("A")]
    (nameless,) = sources_of_model(str(tmp_path))
    assert nameless["licence"] == "unknown" and str(tmp_path) in nameless["source"]


def test_the_embedded_model_names_its_sources():
    sources = sources_of_model("default")
    assert sum(one["rows"] for one in sources) == 3555
    assert {one["licence"] for one in sources} >= {"CC BY 4.0", "CC0", "Apache-2.0"}


def test_a_failed_write_leaves_the_old_list(tmp_path):
    write_sources(tmp_path, [entry("A")])
    with pytest.raises(TypeError):
        write_sources(tmp_path, [entry("A") | {"rows": object()}])
    assert json.loads((tmp_path / "sources.json").read_text()) == [entry("A")]
