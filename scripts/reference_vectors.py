#!/usr/bin/env python3
"""Compute the reference vectors of tests/data with torch, a witness that emberd does not use.

Run it in an environment of its own:
  pip install torch transformers safetensors numpy
  python scripts/reference_vectors.py MODEL_FOLDER

It writes tests/data/reference_all-MiniLM-L6-v2.npz, and tests/data/tiny-*/ with small random
models of each architecture that emberd builds, their inputs and their outputs.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "initializer_range": 0.6,  # large, so that a wrong operation shows in the numbers
}
_TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny-bert": ("Bert", {"hidden_act": "gelu"}),
    "tiny-bert-tanh": ("Bert", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    "tiny-bert-relu": ("Bert", {"hidden_act": "relu", "type_vocab_size": 1}),
    "tiny-roberta": ("Roberta", {"type_vocab_size": 1, "pad_token_id": 1}),
    "tiny-xlm-roberta": ("XLMRoberta", {"pad_token_id": 1}),
    "tiny-mpnet": ("MPNet", {"pad_token_id": 1}),
}


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "model",
        type=Path,
        help="folder of all-MiniLM-L6-v2's own config.json, model.safetensors, tokenizer.json",
    )
    arguments = parser.parse_args()
    import torch  # noqa: PLC0415 - `--help` works without it

    with torch.inference_mode():
        default_model(arguments.model)
        for name, (kind, options) in _TINY.items():
            tiny_model(name, kind, options)
    return 0


def default_model(folder: Path) -> None:
    """Each text alone, in float64, so that only the stored rounding (float32) is left."""
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415
    from transformers import AutoModel  # noqa: PLC0415

    texts = runpy.run_path(str(DATA / "reference_texts.py"))["reference_texts"]()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    rows, counts = [], []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        mask = torch.ones_like(ids)
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = torch.nn.functional.normalize(mean_pooled(hidden, mask), dim=1)
        rows.append(pooled[0].float().numpy())
        counts.append(ids.shape[1])
    target = DATA / "reference_all-MiniLM-L6-v2.npz"
    np.savez(target, vectors=np.stack(rows), tokens=np.array(counts, np.int32))
    print(f"{target}: {len(rows)} texts")


def tiny_model(name: str, kind: str, options: dict[str, Any]) -> None:
    """A random model, a padded batch, and its hidden states pooled both ways."""
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    torch.manual_seed(len(name))
    config = getattr(transformers, f"{kind}Config")(**_SMALL, **options)
    model = getattr(transformers, f"{kind}Model")(config, add_pooling_layer=False)
    for parameter in model.parameters():  # biases start at 0, which would hide their mistakes
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.3, std=0.4)
    folder = DATA / name
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    ids, mask = padded_batch(int(config.pad_token_id or 0))
    hidden = model.double().eval()(input_ids=ids, attention_mask=mask).last_hidden_state
    np.savez(
        folder / "expected.npz",
        ids=ids.numpy(),
        mask=mask.numpy(),
        mean=mean_pooled(hidden, mask).float().numpy(),
        cls=hidden[:, 0].float().numpy(),
    )
    print(folder)


def padded_batch(pad: int) -> tuple[Any, Any]:
    """Random ids and their mask, (5, 16) each, rows of different lengths."""
    import torch  # noqa: PLC0415

    lengths = [1, 2, 5, 9, 16]
    ids = torch.full((len(lengths), max(lengths)), pad)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, int(_SMALL["vocab_size"]), (length,))
        mask[row, :length] = 1
    return ids, mask


def mean_pooled(hidden: Any, mask: Any) -> Any:
    """The mean over each row's real tokens: (batch, time, dim), (batch, time) -> (batch, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


if __name__ == "__main__":
    sys.exit(main())
