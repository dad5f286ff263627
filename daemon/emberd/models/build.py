"""From a folder of a model's own files to a folder of the store."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import BERT_TYPES, read_bert_config
from emberd.models.bert.graph import build_bert_graph
from emberd.models.bert.weights import write_bert_weights
from emberd.models.catalog import CatalogEntry
from emberd.models.check import measure_dim
from emberd.models.files import sha256_of
from emberd.models.graph_writer import save_model
from emberd.models.info import (
    BUILDER,
    CONFIG_FILE,
    GRAPH_FILE,
    INFO_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    ModelInfo,
    Pooling,
    StoredModel,
    fingerprint_of,
    write_info,
)
from emberd.models.onnx_values import copy_external_data
from emberd.models.progress import Watch
from emberd.models.recipe import (
    ONNX_PLACES,
    Recipe,
    is_bert,
    read_json,
    read_licence,
    read_recipe,
)
from emberd.models.safetensors import SafeTensors
from emberd.models.sources import Fetched
from emberd.models.surgery import adapt_export

__all__ = ["build_model", "rebuild_model"]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the built graph is, for the model's description."""

    family: str
    dim: int
    max_tokens: int
    pooling: Pooling
    weights_sha256: str
    layers: int = 0
    hidden: int = 0
    heads: int = 0


def build_model(
    fetched: Fetched, target: Path, name: str, entry: CatalogEntry | None, watch: Watch
) -> ModelInfo:
    """Build the model's graph in the empty folder `target` and describe it in `emberd.json`.

    BERT-family safetensors are built by us; another architecture needs an ONNX export. Raises
    ModelInvalidError that says what is missing.
    """
    source = fetched.folder
    watch.report("build", name)
    if not (source / TOKENIZER_FILE).is_file():
        raise ModelInvalidError(
            f"{fetched.origin} has no tokenizer.json. Save it there with the tokenizers or "
            "transformers library (a fast tokenizer's save_pretrained).",
            details={"missing": TOKENIZER_FILE},
        )
    recipe = read_recipe(source, entry)
    shutil.copyfile(source / TOKENIZER_FILE, target / TOKENIZER_FILE)
    if is_bert(source) and (source / WEIGHTS_FILE).is_file():
        shape = _build_bert(source, target, recipe, fetched.origin)
    else:
        shape = _adapt_onnx(source, target, recipe, fetched.origin)
    licence = entry.licence if entry else fetched.licence or read_licence(source) or "unknown"
    return _describe(target, name, shape, recipe.prompts, licence, fetched.origin, watch)


def rebuild_model(model: StoredModel, target: Path, watch: Watch) -> ModelInfo:
    """Build a stored BERT-family model anew from its own weights, as this emberd builds it."""
    info = model.info
    watch.report("build", info.name)
    shutil.copyfile(model.tokenizer, target / TOKENIZER_FILE)
    recipe = Recipe(info.pooling, info.max_tokens, info.prompts)
    shape = _build_bert(model.folder, target, recipe, info.source)
    return _describe(target, info.name, shape, info.prompts, info.licence, info.source, watch)


def _build_bert(source: Path, target: Path, recipe: Recipe, origin: str) -> _Shape:
    if recipe.pooling is None:
        raise ModelInvalidError(
            f"{origin} does not say how token vectors become one. Put 1_Pooling/config.json "
            'there, with {"pooling_mode_mean_tokens": true} or {"pooling_mode_cls_token": true}.',
            details={"missing": "1_Pooling/config.json"},
        )
    config = read_bert_config(read_json(source / CONFIG_FILE))
    shutil.copyfile(source / CONFIG_FILE, target / CONFIG_FILE)
    with SafeTensors(source / WEIGHTS_FILE) as tensors:
        write_bert_weights(tensors, config, target / WEIGHTS_FILE)
    with SafeTensors(target / WEIGHTS_FILE) as tensors:
        graph = build_bert_graph(config, tensors, recipe.pooling, normalize=True)
    save_model(graph, target / GRAPH_FILE)
    return _Shape(
        family="bert",
        dim=config.hidden,
        max_tokens=min(recipe.max_tokens or config.max_tokens, config.max_tokens),
        pooling=recipe.pooling,
        # Our own file, not the download: its bytes depend on the tensors alone.
        weights_sha256=sha256_of(target / WEIGHTS_FILE),
        layers=config.layers,
        hidden=config.hidden,
        heads=config.heads,
    )


def _adapt_onnx(source: Path, target: Path, recipe: Recipe, origin: str) -> _Shape:
    path = next((source / place for place in ONNX_PLACES if (source / place).is_file()), None)
    if path is None:
        kind = read_json(source / CONFIG_FILE).get("model_type", "not said")
        raise ModelInvalidError(
            f"{origin} holds nothing that emberd can run. It needs config.json and "
            f"model.safetensors of the BERT family ({', '.join(BERT_TYPES)}; this one's type is "
            f"{kind}), or an ONNX export as model.onnx or onnx/model.onnx.",
            details={"missing": [WEIGHTS_FILE, GRAPH_FILE]},
        )
    model = adapt_export(path, recipe.pooling)
    copies = copy_external_data(model, path, target)
    save_model(model, target / GRAPH_FILE)
    config = read_json(source / CONFIG_FILE)
    window = recipe.max_tokens or config.get("max_position_embeddings")
    if not isinstance(window, int):
        raise ModelInvalidError(
            f"{origin} does not say how many tokens the model takes. Put "
            'sentence_bert_config.json there, with {"max_seq_length": 512} or the like.',
            details={"missing": "sentence_bert_config.json"},
        )
    hashes = [sha256_of(file) for file in (path, *copies)]
    return _Shape(
        family="onnx",
        dim=model.graph.output[0].type.tensor_type.shape.dim[1].dim_value or measure_dim(target),
        max_tokens=window,
        pooling=recipe.pooling or "mean",
        weights_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def _describe(
    target: Path,
    name: str,
    shape: _Shape,
    prompts: Mapping[str, str],
    licence: str,
    origin: str,
    watch: Watch,
) -> ModelInfo:
    names = sorted(path.name for path in target.iterdir() if path.name != INFO_FILE)
    files = {file: sha256_of(target / file, watch, "build") for file in names}
    info = ModelInfo(
        name=name,
        dim=shape.dim,
        max_tokens=shape.max_tokens,
        pooling=shape.pooling,
        prompts=dict(prompts),
        licence=licence,
        source=origin,
        family="bert" if shape.family == "bert" else "onnx",
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        weights_sha256=shape.weights_sha256,
        files=files,
        builder=BUILDER if shape.family == "bert" else 0,
        fingerprint=fingerprint_of(
            weights_sha256=shape.weights_sha256,
            tokenizer_sha256=files[TOKENIZER_FILE],
            pooling=shape.pooling,
            normalize=True,
            max_tokens=shape.max_tokens,
        ),
    )
    write_info(target, info)
    return info
