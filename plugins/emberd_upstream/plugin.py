"""The entry point."""

from __future__ import annotations

from emberd.plugins import Embedder, PluginContext, hookimpl
from emberd_upstream.dims import KnownDims
from emberd_upstream.embedder import UpstreamEmbedder
from emberd_upstream.settings import UpstreamSettings, api_key_of, check_settings
from emberd_upstream.transport import Transport

__all__ = ["UpstreamPlugin", "plugin"]


class UpstreamPlugin:
    """Offers an embedder for each model of the settings. A server that is away is no failed check:
    it may come back, and until then there are its cached vectors and its fallback."""

    @hookimpl
    def emberd_settings(self) -> type[UpstreamSettings]:
        return UpstreamSettings

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        check_settings(context.settings)
        for name, model in context.settings.models.items():
            if not model.verify_tls:
                context.log.warning("%s: the certificates of its servers are not checked", name)

    @hookimpl
    def emberd_embedders(self, context: PluginContext) -> list[Embedder]:
        settings: UpstreamSettings = context.settings
        transport = Transport(settings.connections)
        known_dims = KnownDims(context.folder, context.log)
        return [
            UpstreamEmbedder(name, model, api_key_of(model), transport, known_dims)
            for name, model in settings.models.items()
        ]


plugin = UpstreamPlugin()
