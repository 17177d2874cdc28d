"""Decoder language models as sparse encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.base.modules import Transformer

from sparsearch.encoders.prompting import PROMPT, content_words, split_prompt
from sparsearch.encoders.torch_heads import pooled

__all__ = ["EchoTransformer", "PromptTransformer"]


class EchoTransformer(Transformer):
    """A decoder that reads each text twice and passes on the hidden states of the second copy.

    A token of a decoder sees only what is before it. Those of the second copy have all of the text
    before them (Springer et al., arXiv 2402.15449). Texts are cut to half of the longest sequence.
    """

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **options: Any) -> Any:
        """Return token ids of two copies and, in ``echo_mask``, where the second one is."""
        task = options.get("task")
        longest = self.query_length if task == "query" else self.document_length
        longest = longest or self.max_seq_length // 2
        texts = [(prompt or "") + text for text in inputs]
        once = self.tokenizer(texts, truncation=True, max_length=longest, add_special_tokens=False)[
            "input_ids"
        ]
        # A text without tokens still needs one to read.
        filler = [self.tokenizer.pad_token_id]
        once = [ids or filler for ids in once]
        length = 2 * max(map(len, once))
        features = {
            "input_ids": torch.full((len(once), length), filler[0]),
            "attention_mask": torch.zeros(len(once), length, dtype=torch.long),
            "echo_mask": torch.zeros(len(once), length, dtype=torch.long),
        }
        for row, ids in enumerate(once):
            features["input_ids"][row, : 2 * len(ids)] = torch.tensor(ids * 2)
            features["attention_mask"][row, : 2 * len(ids)] = 1
            features["echo_mask"][row, len(ids) : 2 * len(ids)] = int(ids is not filler)
        return {**features, "modality": "text"}

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Set ``token_embeddings``; from then on only the second copy counts."""
        echo = features.pop("echo_mask")
        features = super().forward(features, **options)
        features["attention_mask"] = echo
        return features


class PromptTransformer(Transformer):
    """PromptReps: the logits of the next word after a prompt, for the words of the text.

    Kept are terms that occur in the text, stop words and word-less tokens aside, at
    ``log(1 + relu(logit))`` (Zhuang et al., EMNLP 2024).
    """

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **options: Any) -> Any:
        """Return token ids of the prompts and, in ``occurring``, which terms a text may keep."""
        longest = self.query_length if options.get("task") == "query" else self.document_length
        longest = longest or self.max_seq_length // 2
        before, after = split_prompt(prompt or PROMPT)
        occurring = torch.zeros(len(inputs), len(self.tokenizer), dtype=torch.bool)
        prompts = []
        for row, text in enumerate(inputs):
            ids = self.tokenizer(
                text, truncation=True, max_length=longest, add_special_tokens=False
            )["input_ids"]
            prompts.append(before + self.tokenizer.decode(ids) + after)
            occurring[row, self._content_terms(text, longest)] = True
        # Behind the prompts: ahead of them it would move the places that some decoders count.
        encoded = self.tokenizer(
            prompts,
            padding=True,
            padding_side="right",
            return_tensors="pt",
            add_special_tokens=False,
        )
        return {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "occurring": occurring,
            "modality": "text",
        }

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Set ``sentence_embedding``, ``[batch, vocabulary]``."""
        occurring = features.pop("occurring")
        mask = features["attention_mask"]
        logits = self.model(input_ids=features["input_ids"], attention_mask=mask).logits
        weights = pooled(logits.float(), mask, "last", "log1p")
        features["sentence_embedding"] = weights * occurring
        return features

    def _content_terms(self, text: str, longest: int) -> list[int]:
        ids: list[int] = self.tokenizer(
            content_words(text), truncation=True, max_length=longest, add_special_tokens=False
        )["input_ids"]
        return ids
