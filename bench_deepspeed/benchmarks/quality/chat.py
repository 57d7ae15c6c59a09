"""From a question to the token ids that every engine is given."""

from __future__ import annotations

from bench_deepspeed.core.errors import UsageError


def encode(tokenizer, system_prompt: str, prompt: str) -> list[int]:
    """Token ids of a question in the model's own chat template, with one BOS at most.

    Where the template has no system role, as Mistral-7B-Instruct-v0.1's, the system prompt goes in
    front of the question, as that model's authors do. Raises UsageError when there is no template.
    """
    if tokenizer.chat_template is None:
        raise UsageError("this model's tokenizer has no chat template: its quality cannot be checked with questions")
    text = _render(tokenizer, system_prompt, prompt)
    has_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    return tokenizer(text, add_special_tokens=not has_bos).input_ids


def _render(tokenizer, system_prompt: str, prompt: str) -> str:
    from jinja2 import TemplateError

    def render(*messages: tuple[str, str]) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    if not system_prompt:
        return render(("user", prompt))
    try:
        text = render(("system", system_prompt), ("user", prompt))
    except TemplateError:
        text = ""
    # Some templates drop a system message without a word.
    return text if system_prompt in text else render(("user", f"{system_prompt}\n\n{prompt}"))
