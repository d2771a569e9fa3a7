import pytest

from bilabial.training.data.sources import Source
from bilabial.training.publishing.licenses import check_license, forbids_commerce, hub_license


@pytest.mark.parametrize(
    "written, identifier",
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("CC-BY-NC 4.0 International", "cc-by-nc-4.0"),
        ("CC0", "cc0-1.0"),
        ("ODbL 1.0", "odbl"),
        ("Apache-2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("unknown", "unknown"),
        ("research only, non-commercial", "other"),
        ("BSD-like", "other"),
    ],
)
def test_the_hubs_name_of_a_license(written, identifier):
    assert hub_license(written) == identifier


@pytest.mark.parametrize(
    "license, forbidden",
    [
        ("CC BY-NC-SA 4.0", True),
        ("cc-by-nc-4.0", True),
        ("non-commercial research", True),
        ("Noncommercial", True),
        ("academic use only", True),
        ("cc_by_nc_4.0", True),
        ("not for commercial use", True),
        ("not for commerce", True),
        ("personal use only", True),
        ("educational use only", True),
        ("for evaluation only", True),
        ("commercial use allowed", False),
        ("CC BY 4.0", False),
        ("Apache-2.0", False),
        ("license", False),
        ("unknown", False),
    ],
)
def test_who_forbids_commerce(license, forbidden):
    assert forbids_commerce(license) == forbidden


def test_only_a_conflict_is_a_problem():
    free, bound = Source("a", "CC0", 1, 1.0), Source("b", "CC BY-NC 4.0", 1, 1.0)
    assert check_license([free], "apache-2.0", False) == []
    assert check_license([free, bound], "cc-by-nc-4.0", False) == []
    assert check_license([free, bound], "apache-2.0", True) == []
    [problem] = check_license([free, bound], "apache-2.0", False)
    values = {"names": "b (CC BY-NC 4.0)", "license": "apache-2.0"}
    assert (problem.code, problem.parameters) == ("license_commerce", values)
