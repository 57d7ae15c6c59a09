"""The tokenizer of the referee's server, for tools that want one: each of its words is a token."""

from __future__ import annotations

import json
from pathlib import Path

from .wire import VOCABULARY

UNKNOWN = "[UNK]"
CONTEXT_TOKENS = 2**20


def write(folder: Path) -> None:
    """Write it as Transformers and `tokenizers` read it. Raises OSError."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {UNKNOWN: VOCABULARY, **{f"w{number}": number for number in range(VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": UNKNOWN,
        "pad_token": UNKNOWN,
        "eos_token": UNKNOWN,
        "model_max_length": CONTEXT_TOKENS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
