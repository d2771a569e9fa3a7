"""What is refused by a code, not by its wording."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bilabial.errors import UserError


@contextmanager
def refused(code: str, **values: object) -> Iterator[None]:
    """Expect a UserError of this code whose parameters include these values, as it tells them."""
    with pytest.raises(UserError) as error:
        yield
    assert error.value.code == code, str(error.value)
    told = {name: error.value.parameters.get(name) for name in values}
    assert told == values
