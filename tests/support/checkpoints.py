"""Builders of tiny checkpoints: random weights, but real files and real tokenizers.

Everything a loader meets in the wild is here at a thousandth of the size: a WordPiece BERT and
a Unigram XLM-R, as bi-encoders (mean and CLS pooling, with and without trained heads, saved as
safetensors or as pickled tensors) and as cross-encoders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

HIDDEN, LAYERS, HEADS, WINDOW = 32, 2, 4, 64

CORPUS = [
    "machine learning is the study of algorithms that improve with experience",
    "a neural network learns its weights by gradient descent on a loss function",
    "the capital of france is paris, a city on the river seine",
    "water boils at one hundred degrees celsius at sea level",
    "reranking orders the candidates that a first stage has found",
    "the cat sat on the mat; the dog did not.",
    "quick brown foxes jump over lazy dogs, again and again!",
    "vitamin d is made in the skin when it is exposed to sunlight",
    "numbers such as 12, 345 and 6789 are tokens as well",
    "la ville de paris est la capitale de la france",
    "die hauptstadt von frankreich ist paris",
    "query: what is it? passage: this is it.",
    "Mixed CASE and Unicode: caf\u00e9, na\u00efve, \u4f60\u597d, \u043c\u0438\u0440",
    "\u0633\u0644\u0627\u0645 \u0645\u0631\u062d\u0628\u0627",
]


def wordpiece() -> BertTokenizer:
    """Return a BERT tokenizer whose WordPiece vocabulary was trained on the corpus."""
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    )
    return BertTokenizer(vocab=raw.get_vocab(), model_max_length=WINDOW)


def unigram() -> XLMRobertaTokenizer:
    """Return an XLM-R tokenizer whose Unigram vocabulary was trained on the corpus."""
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>"),
    )
    pieces = json.loads(raw.to_str())["model"]["vocab"]
    vocabulary = [(piece, score) for piece, score in pieces if piece not in special]
    return XLMRobertaTokenizer(
        vocab=[*((name, 0.0) for name in special), *vocabulary, ("<mask>", 0.0)],
        model_max_length=WINDOW,
    )


def _sizes(tokenizer: PreTrainedTokenizerBase, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * HIDDEN,
        "initializer_range": 0.3,  # far from degenerate: at 0.02 all texts look alike
        **more,
    }


def _bert_config(tokenizer: PreTrainedTokenizerBase, **more: Any) -> BertConfig:
    return BertConfig(**_sizes(tokenizer, max_position_embeddings=WINDOW, **more))


def _xlmr_config(tokenizer: PreTrainedTokenizerBase, **more: Any) -> XLMRobertaConfig:
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    return XLMRobertaConfig(
        **_sizes(tokenizer, max_position_embeddings=WINDOW + 2, type_vocab_size=1, **ids, **more)
    )


def _network(
    kind: type[PreTrainedModel], config: PretrainedConfig, seed: int = 0
) -> PreTrainedModel:
    torch.manual_seed(seed)
    network = kind(config)
    with torch.no_grad():  # a bias or a classifier of zero would hide mistakes
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def _save(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def to_bin(folder: Path) -> Path:
    """Replace the safetensors file of a folder by a pickled state dict."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def bi_encoder(
    network: Path,
    folder: Path,
    pooling: str,
    *,
    prompts: Mapping[str, str] | None = None,
    default_prompt: str | None = None,
    include_prompt: bool = True,
    normalize: bool = True,
) -> Path:
    """Save a sentence-transformers folder around a saved network."""
    transformer = Transformer(str(network))
    modules: list[torch.nn.Module] = [
        transformer,
        Pooling(HIDDEN, pooling, include_prompt=include_prompt),
    ]
    model = SentenceTransformer(
        modules=modules + ([Normalize()] if normalize else []),
        prompts=dict(prompts or {}),
        default_prompt_name=default_prompt,
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)
    return folder


def bert_network(folder: Path) -> Path:
    """Save a bare BERT."""
    tokenizer = wordpiece()
    return _save(_network(BertModel, _bert_config(tokenizer)), tokenizer, folder)


def xlmr_network(folder: Path) -> Path:
    """Save a bare XLM-R."""
    tokenizer = unigram()
    return _save(_network(XLMRobertaModel, _xlmr_config(tokenizer)), tokenizer, folder)


def add_heads(folder: Path, seed: int = 1) -> Path:
    """Put a multi-vector and a sparse head beside the weights, as bge-m3 has them."""
    torch.manual_seed(seed)
    torch.save(torch.nn.Linear(HIDDEN, HIDDEN).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(HIDDEN, 1).state_dict(), folder / "sparse_linear.pt")
    return folder


def bert_cross_encoder(folder: Path, labels: int = 1) -> Path:
    """Save a BERT that classifies pairs."""
    tokenizer = wordpiece()
    config = _bert_config(tokenizer, num_labels=labels)
    return _save(_network(BertForSequenceClassification, config), tokenizer, folder)


def xlmr_cross_encoder(folder: Path) -> Path:
    """Save an XLM-R that classifies pairs."""
    tokenizer = unigram()
    config = _xlmr_config(tokenizer, num_labels=1)
    return _save(_network(XLMRobertaForSequenceClassification, config), tokenizer, folder)


def llama_cross_encoder(folder: Path) -> Path:
    """Save a decoder with a classifier, whose own padding id is not its tokenizer's."""
    words = wordpiece()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words.backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=WINDOW,
        model_input_names=["input_ids", "attention_mask"],
    )
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=WINDOW,
        pad_token_id=words.mask_token_id,
        num_labels=1,
    )
    torch.manual_seed(0)
    return _save(LlamaForSequenceClassification(config), tokenizer, folder)
