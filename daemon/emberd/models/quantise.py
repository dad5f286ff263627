"""From an exact model of the store to its int8 form: calibrate, quantise, measure."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from emberd.errors import ModelInvalidError
from emberd.models.accuracy import measure_accuracy, refuse_inaccurate
from emberd.models.bert.config import BERT_TYPES, read_bert_config
from emberd.models.bert.int8.graph import build_int8_graph
from emberd.models.bert.int8.samples import take_samples
from emberd.models.bert.int8.tensors import write_int8_weights
from emberd.models.bert.int8.texts import calibration_texts, held_out_texts
from emberd.models.catalog import named
from emberd.models.files import sha256_of
from emberd.models.graph_writer import save_model
from emberd.models.info import (
    CONFIG_FILE,
    GRAPH_FILE,
    INT8_BUILDER,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Floor,
    ModelInfo,
    StoredModel,
    fingerprint_of,
    write_info,
)
from emberd.models.progress import Watch
from emberd.models.recipe import read_json
from emberd.models.running import token_ids
from emberd.models.safetensors import SafeTensors

__all__ = ["quantise_model"]

# Longer texts teach little more, and cost the square of their length.
_LONGEST = 512


def quantise_model(exact: StoredModel, target: Path, floor: Floor, watch: Watch) -> ModelInfo:
    """Build the int8 form of a BERT-family model in the empty folder `target`.

    Raises ModelInvalidError for a model of another family, and for one whose int8 form is under
    `floor` on the held-out texts.
    """
    if exact.info.family != "bert":
        raise ModelInvalidError(
            f"{exact.info.name} is an ONNX export, and only BERT-family models that emberd built "
            f"from their weights ({', '.join(BERT_TYPES)}) can be made int8. Use it as it is.",
            details={"model": exact.info.name, "family": exact.info.family},
        )
    for name in (TOKENIZER_FILE, CONFIG_FILE):
        shutil.copyfile(exact.folder / name, target / name)
    _build(exact, target, watch)
    tokens = min(exact.info.max_tokens, _LONGEST)
    held_out = token_ids(exact.tokenizer, held_out_texts(), tokens)
    accuracy = measure_accuracy(exact, target, held_out, watch)
    name = named(exact.info.name, "int8")
    refuse_inaccurate(name, accuracy, floor)
    files = (CONFIG_FILE, GRAPH_FILE, WEIGHTS_FILE, TOKENIZER_FILE)
    hashes = {file: sha256_of(target / file) for file in sorted(files)}
    info = msgspec.structs.replace(
        exact.info,
        name=name,
        precision="int8",
        accuracy=accuracy,
        exact_fingerprint=exact.info.fingerprint,
        weights_sha256=hashes[WEIGHTS_FILE],
        files=hashes,
        builder=INT8_BUILDER,
        fingerprint=fingerprint_of(
            weights_sha256=hashes[WEIGHTS_FILE],
            tokenizer_sha256=hashes[TOKENIZER_FILE],
            pooling=exact.info.pooling,
            normalize=exact.info.normalize,
            max_tokens=exact.info.max_tokens,
            numerics="int8",
        ),
    )
    write_info(target, info)
    return info


def _build(exact: StoredModel, target: Path, watch: Watch) -> None:
    info = exact.info
    config = read_bert_config(read_json(exact.folder / CONFIG_FILE))
    ids = token_ids(exact.tokenizer, calibration_texts(), min(info.max_tokens, _LONGEST))
    samples = take_samples(
        exact.folder,
        config,
        info.pooling,
        ids,
        lambda done: watch.report("calibrate", info.name, done, len(ids)),
    )

    def on_layer(done: int) -> None:
        watch.report("build", f"{info.name}, layer {done} of {config.layers}")

    with SafeTensors(exact.folder / WEIGHTS_FILE) as weights:
        write_int8_weights(weights, config, samples, target / WEIGHTS_FILE, on_layer)
    with SafeTensors(target / WEIGHTS_FILE) as weights:
        save_model(build_int8_graph(config, weights, info.pooling), target / GRAPH_FILE)
