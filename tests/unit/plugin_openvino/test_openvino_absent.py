"""Where OpenVINO is not installed."""

from __future__ import annotations

import sys

import pytest

from emberd.testing import InProcessDaemon
from emberd_openvino import plugin as plugin_module
from emberd_openvino.plugin import OpenVinoPlugin


def test_the_plugin_says_how_to_get_it_and_the_daemon_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugin_module, "computes_in_bf16", lambda: True)
    monkeypatch.delitem(sys.modules, "emberd_openvino.library", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    settings = {"models": {"embedder": "openvino"}}
    plugins = {"openvino": OpenVinoPlugin()}
    with InProcessDaemon(plugins=plugins, settings=settings) as daemon:
        client = daemon.client()
        (stats,) = [each for each in client.plugins() if each.name == "openvino"]
        assert stats.state == "check_error"
        assert "pip install 'emberd[openvino]'" in stats.message
        assert client.embed("a text").shape
