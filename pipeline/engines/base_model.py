"""What the training engine (transformers 4.48) reads of a base model's files, and how newer ones are told to it.

transformers 5 writes some of a model's properties under other names, which 4.48 passes over without a word: a model
would be trained with another rotary base than it is scored with. What can be said exactly in the older form is
translated; the rest is refused. Used by the training's worker and, before that is started, by the app. Standard library
alone.
"""

from __future__ import annotations

from typing import Any

if __package__:  # of the app; in an engine's environment the files of this folder are modules of their own
    from pipeline.engines.protocol import Problem
else:
    from protocol import Problem  # type: ignore[import-not-found, no-redef]

Values = dict[str, Any]

# The kinds of model that transformers 4.48's AutoModelForCausalLM knows; a test holds the list to the engine's own.
_CAUSAL = """
aria_text bamba bart bert bert-generation big_bird bigbird_pegasus biogpt blenderbot blenderbot-small bloom camembert
code_llama codegen cohere cohere2 cpmant ctrl data2vec-text dbrx diffllama electra emu3 ernie falcon falcon_mamba fuyu
gemma gemma2 git glm gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_neox_japanese gptj granite granitemoe jamba jetmoe
llama mamba mamba2 marian mbart mega megatron-bert mistral mixtral mllama moshi mpt musicgen musicgen_melody mvp
nemotron olmo olmo2 olmoe open-llama openai-gpt opt pegasus persimmon phi phi3 phimoe plbart prophetnet qdqbert qwen2
qwen2_moe recurrent_gemma reformer rembert roberta roberta-prelayernorm roc_bert roformer rwkv speech_to_text_2
stablelm starcoder2 transfo-xl trocr whisper xglm xlm xlm-prophetnet xlm-roberta xlm-roberta-xl xlnet xmod zamba
"""
CAUSAL = frozenset(_CAUSAL.split())
# Those whose rotary parameters were translated and gave the same logits in both engines
# (tests/integration/base_models), with the names under which 4.48 keeps base and share. Not among them: gemma2, whose
# logits differ by 5e-4 whatever wrote it.
_THETA = ("rope_theta", "partial_rotary_factor")
_LIKE_LLAMA = (
    "cohere cohere2 diffllama gemma glm granite granitemoe jetmoe llama mistral mixtral nemotron olmo olmo2 olmoe "
    "persimmon phi3 phimoe qwen2 qwen2_moe stablelm starcoder2"
)
ROTARY = {**dict.fromkeys(_LIKE_LLAMA.split(), _THETA), "gpt_neox": ("rotary_emb_base", "rotary_pct")}
PARTIAL = frozenset({"glm", "gpt_neox", "nemotron", "persimmon", "stablelm"})  # may turn a share of each head alone
# Kinds that 4.48.0 knows and reads wrongly: its Phi has no bias of the head.
MISREAD = frozenset({"phi"})
SCALED = frozenset({"llama", "mistral", "qwen2"})  # those whose scaled forms were compared too
_SCALING: dict[str, frozenset[str]] = {  # by rope_type, the keys that 4.48 reads
    "default": frozenset(),
    "linear": frozenset({"factor"}),
    "dynamic": frozenset({"factor"}),
    "yarn": frozenset({"factor", "attention_factor", "beta_fast", "beta_slow", "original_max_position_embeddings"}),
    "llama3": frozenset({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}),
}
_OF_THE_BACKEND = frozenset({"backend", "is_local", "local_files_only"})  # transformers 5 writes it; nobody reads it
_BACKEND, _FAST = "TokenizersBackend", "PreTrainedTokenizerFast"


def safetensors_only(model_class: Any) -> None:
    """Let no model of an engine's transformers be loaded from pickles, which run what they like; once is enough.

    Args:
        model_class: transformers' PreTrainedModel.
    """
    if hasattr(model_class, "from_any"):
        return
    original = model_class.from_pretrained.__func__

    def safe(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return original(cls, *args, **{**kwargs, "use_safetensors": True})

    model_class.from_any = original
    model_class.from_pretrained = classmethod(safe)


def config(values: Values) -> Values:
    """Return a config.json as transformers 4.48 is to read it.

    Args:
        values: As the model's author saved it; stays as it is.

    Raises:
        Problem: The engine does not know such models, or cannot be told of a property exactly.
    """
    kind = str(values.get("model_type") or "")
    if kind not in CAUSAL:
        raise Problem("engines.kind_unknown", kind=kind or "?", names=values.get("architectures") or [])
    if kind in MISREAD:
        raise Problem("engines.kind_misread", kind=kind)
    told = dict(values)
    if told.get("dtype") is not None:
        told["torch_dtype"] = told["dtype"]
    told.pop("dtype", None)
    rotary = told.pop("rope_parameters", None)
    if rotary:
        told |= _rotary(kind, rotary, told)
    elif kind in SCALED and told.get("rope_scaling"):
        _check_scaling(kind, told["rope_scaling"], told)
    _check_layers(kind, told.pop("layer_types", None), told)
    return told


def _rotary(kind: str, rotary: Values, told: Values) -> Values:
    """Return rotary parameters under 4.48's names."""
    if kind not in ROTARY:
        raise Problem("engines.rope_kind", kind=kind)
    if any(isinstance(value, dict) for value in rotary.values()):
        raise Problem("engines.rope_layers", kind=kind)
    base, share = ROTARY[kind]
    found = {base: rotary["rope_theta"]} if rotary.get("rope_theta") is not None else {}
    part = rotary.get("partial_rotary_factor")
    if kind in PARTIAL and part is not None:
        found[share] = part
    elif part not in (None, 1, 1.0):
        raise Problem("engines.rope_form", kind=kind, form=f"partial_rotary_factor {part}")
    scaling = {key: value for key, value in rotary.items() if key not in ("rope_theta", "partial_rotary_factor")}
    scaled = _check_scaling(kind, scaling, told)
    return {**found, "rope_scaling": scaled}


def _check_scaling(kind: str, scaling: Values, told: Values) -> Values | None:
    """Return a scaling as 4.48 is to read it, None where there is none.

    Raises:
        Problem: It would be another one there.
    """
    form = str(scaling.get("rope_type") or scaling.get("type") or "default")
    more = {key: value for key, value in scaling.items() if key not in ("rope_type", "type") and value is not None}
    # It came into dictionaries of all forms; 4.48 takes a model's whole context for it in yarn.
    learned = more.get("original_max_position_embeddings", told.get("max_position_embeddings"))
    if form in ("default", "linear", "dynamic"):
        more.pop("original_max_position_embeddings", None)
    known = form in _SCALING and more.keys() <= _SCALING[form]
    longer = form == "yarn" and learned != told.get("max_position_embeddings")
    if not known or longer or (form != "default" and kind not in SCALED):
        raise Problem("engines.rope_form", kind=kind, form=form)
    return None if form == "default" else {"rope_type": form, **more}


def _check_layers(kind: str, layers: list[str] | None, told: Values) -> None:
    """Refuse layers of several kinds of attention where 4.48 would make them all alike."""
    if not layers or set(layers) == {"full_attention"}:
        return
    if kind == "cohere2":
        every = int(told.get("sliding_window_pattern") or 4)
        wanted = ["sliding_attention" if (number + 1) % every else "full_attention" for number in range(len(layers))]
    else:
        wanted = []
    if layers != wanted:
        raise Problem("engines.layer_kinds", kind=kind, kinds=sorted(set(layers)))


def tokenizer(values: Values) -> Values:
    """Return a tokenizer_config.json as transformers 4.48 is to read it.

    Args:
        values: As the model's author saved it; stays as it is.
    """
    told = {name: value for name, value in values.items() if name not in _OF_THE_BACKEND}
    # Both take tokenizer.json as it is. 4.48's classes of the same names would not: its Llama puts a first token before
    # each text whatever the file says, and cannot be loaded without sentencepiece's file where a space is not added.
    if told.get("tokenizer_class") == _BACKEND or values.get("backend") == "tokenizers":
        told["tokenizer_class"] = _FAST
    if isinstance(told.get("extra_special_tokens"), list):  # 4.48 knows them under their former name
        more = told.pop("extra_special_tokens")
        former = told.get("additional_special_tokens") or []
        told["additional_special_tokens"] = [*former, *(token for token in more if token not in former)]
    return told


def context(values: Values) -> int | None:
    """Return the longest sequence a config.json names, in tokens; None where it names none.

    Args:
        values: Of config.json: newer models say max_position_embeddings, GPT-2's like n_positions, MPT max_seq_len.
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len")
    found = [values[name] for name in names if isinstance(values.get(name), int) and values[name] > 0]
    return min(found, default=None)
