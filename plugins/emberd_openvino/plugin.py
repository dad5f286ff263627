"""The entry point."""

from __future__ import annotations

from emberd.plugins import Embedder, PluginContext, hookimpl
from emberd_openvino.processor import BF16_FLAGS, computes_in_bf16
from emberd_openvino.settings import OpenVinoSettings

__all__ = ["OpenVinoPlugin", "plugin"]


class OpenVinoPlugin:
    """Offers the store's models of the BERT family, each as `NAME@openvino`."""

    @hookimpl
    def emberd_settings(self) -> type[OpenVinoSettings]:
        return OpenVinoSettings

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        if not computes_in_bf16():
            raise OSError(
                f"This CPU has neither {' nor '.join(BF16_FLAGS)}, without which OpenVINO is no "
                "faster than emberd's own engine. Take models.embedder and [plugin.openvino] out "
                "of the settings."
            )
        import emberd_openvino.library  # noqa: F401, PLC0415 - it may be missing; it says so

    @hookimpl
    def emberd_embedders(self, context: PluginContext) -> list[Embedder]:
        # OpenVINO takes a quarter of a second.
        from emberd_openvino.embedder import OpenVinoEmbedder  # noqa: PLC0415

        return [
            OpenVinoEmbedder(
                context.settings, context.models_folder, context.folder / "compiled", context.log
            )
        ]


plugin = OpenVinoPlugin
"""The class: every daemon makes a plugin of its own."""
