"""What a model's own files say about pooling, window and prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emberd.errors import ModelInvalidError
from emberd.models import CATALOG
from emberd.models.recipe import read_licence, read_recipe


def put(folder: Path, name: str, value: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize(
    ("options", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls", "include_prompt": True}, "cls"),
    ],
)
def test_pooling_is_read_in_old_and_new_form(
    tmp_path: Path, options: dict[str, Any], pooling: str
) -> None:
    put(tmp_path, "1_Pooling/config.json", options)
    assert read_recipe(tmp_path, None).pooling == pooling


@pytest.mark.parametrize(
    "options",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode_mean_tokens": False},
        {"pooling_mode": "lasttoken"},
        {"pooling_mode_mean_tokens": True, "include_prompt": False},
    ],
)
def test_pooling_that_we_do_not_build_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    put(tmp_path, "1_Pooling/config.json", options)
    with pytest.raises(ModelInvalidError, match="1_Pooling"):
        read_recipe(tmp_path, CATALOG["gte-small"])


def test_a_module_that_we_do_not_build_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "modules.json", [{"type": "x.Transformer"}, {"type": "x.models.Dense"}])
    with pytest.raises(ModelInvalidError, match="asks for Dense"):
        read_recipe(tmp_path, None)


def test_the_window_is_the_model_files_own(tmp_path: Path) -> None:
    assert read_recipe(tmp_path, None).max_tokens is None
    put(tmp_path, "tokenizer_config.json", {"model_max_length": int(1e30)})
    assert read_recipe(tmp_path, None).max_tokens is None
    put(tmp_path, "tokenizer_config.json", {"model_max_length": 512})
    assert read_recipe(tmp_path, None).max_tokens == 512
    put(tmp_path, "sentence_bert_config.json", {"max_seq_length": 128})
    assert read_recipe(tmp_path, None).max_tokens == 128


def test_the_catalog_fills_what_the_files_leave_open(tmp_path: Path) -> None:
    recipe = read_recipe(tmp_path, CATALOG["bge-small-en-v1.5"])
    assert (recipe.pooling, recipe.max_tokens) == ("cls", 512)
    assert recipe.prompts["query"].startswith("Represent this sentence")
    put(tmp_path, "config_sentence_transformers.json", {"prompts": {"query": "Q: ", "none": ""}})
    assert read_recipe(tmp_path, CATALOG["bge-small-en-v1.5"]).prompts == {"query": "Q: "}


@pytest.mark.parametrize("name", ["tokenizer_config.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    put(tmp_path, name, content)
    with pytest.raises(ModelInvalidError, match=name):
        read_recipe(tmp_path, None)


def test_a_broken_list_of_modules_is_named(tmp_path: Path) -> None:
    for content in ("{", "7", '[{"name": "0"}]'):
        put(tmp_path, "modules.json", content)
        with pytest.raises(ModelInvalidError, match=r"modules\.json"):
            read_recipe(tmp_path, None)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# Model", "apache-2.0"),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("# Model\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_the_licence_is_the_model_cards(tmp_path: Path, card: str, licence: str | None) -> None:
    assert read_licence(tmp_path) is None
    (tmp_path / "README.md").write_text(card)
    assert read_licence(tmp_path) == licence
