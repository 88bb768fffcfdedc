"""Tests of operators."""

import pytest

# Or else what a check there has found would not be told.
pytest.register_assert_rewrite("tests.operators.scenes")
