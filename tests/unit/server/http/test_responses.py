"""What the log says of an error that becomes a response."""

from __future__ import annotations

import pytest

from reranker import InferenceError, PluginError
from reranker_server.http.responses import error_response


def test_a_plug_in_that_does_not_work_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    error = PluginError("method 'mine' cannot be imported: OSError", detail="mine: OSError: disk")
    assert error_response(error).status_code == 500
    (record,) = caplog.records
    assert record.getMessage() == f"500 broken_plugin: {error.for_operator()}"
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InferenceError("method 'mine' failed"), "500 inference_failed: method 'mine' failed"),
        (KeyError("a document"), "500 internal: dialect 'mine' failed: KeyError"),
    ],
)
def test_other_failures_come_with_their_traceback(
    caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    assert error_response(error, part="dialect 'mine'").status_code == 500
    (record,) = caplog.records
    assert record.getMessage() == line
    assert record.exc_info is not None
    assert record.exc_info[1] is error
