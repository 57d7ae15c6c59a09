"""The tokenizer that MII is given, in a module of its own because its base class needs mii imported."""

from __future__ import annotations

from typing import Any

import torch
from mii.modeling.tokenizers import MIITokenizerWrapper


class TokenizerForMii(MIITokenizerWrapper):
    """A Transformers tokenizer that MII accepts, and that takes token ids as well as text.

    Given a path, MII would read it with trust_remote_code. Given this, MII 0.3.3 wraps it once more in
    its own HFTokenizer, which treats it as a Transformers tokenizer: hence `__len__` and `return_tensors`.
    `ids_of` has the token ids of the texts that were decoded since `forget`.
    """

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        self.forget()

    def __len__(self) -> int:
        return len(self.tokenizer)

    @property
    def vocab_size(self) -> int:
        return len(self)

    @property
    def eos_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    def encode(self, prompt: str | list[int], return_tensors: str = "pt") -> torch.Tensor:
        """Token ids of shape (tokens,); ids given as a list are taken as they are."""
        if isinstance(prompt, str):
            prompt = self.tokenizer(prompt).input_ids
        return torch.tensor(prompt)

    def decode(self, tokens) -> str:
        self.decoded = tokens  # a reference, not a copy: this is inside the timed call
        text = self.tokenizer.decode(tokens)
        self._ids[id(text)] = text, tokens
        return text

    def forget(self) -> None:
        """Forget what was decoded so far."""
        self._ids: dict[int, tuple[str, Any]] = {}

    def ids_of(self, text: str) -> Any:
        """The token ids that this very text, not one like it, was decoded from; None where it was not."""
        _, tokens = self._ids.get(id(text), (text, None))
        return tokens
