"""The `defaults` block: the values of request fields that a request leaves out, per generation.

NeMo 3 checkpoints have `inference_parameters`; constants that are not in it (skip after 8, suppress
after 10, ...) are those of NeMo 3.0.0. The 2503 code differs: it forbids no id, has no minimum
number of frames, looks for the end of speech in the first codebook only, uses a weight window of 5
for every lookahead, and never counts the end position. A source in the fork's layout gets the
fork's window rule.
"""

from __future__ import annotations

from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.magpie_reading import Reading, is_2503
from ttsrt_rt.errors import ConfigError

# The prior's layers in the published 12-layer models, for configurations that do not name them.
PUBLISHED_LAYERS = 12
PUBLISHED_ESTIMATE = (4, 5, 8, 9)
PUBLISHED_APPLY = (3, 4, 5, 6, 7, 8, 9, 10)

LONG_TEXT_FIELDS = [
    "attention_sink_threshold",
    "chunked_attention_sink_threshold",
    "prior_weights",
    "prior_weights_init",
    "finished_limit_with_eot",
    "finished_limit_without_eot",
    "finished_limit_first_chunk",
    "forceful_chunk_end_threshold",
    "near_end_threshold",
    "short_sentence_threshold",
    "argmax_temperature",
]


def read_defaults(reading: Reading, model: m.MagpieModel) -> m.RequestDefaults:
    """Reads the defaults of a source whose model block was already read.

    Raises:
        ConfigError: a field of `inference_parameters` is out of its limits.
    """
    config = reading.config
    block = Block({}, config.place("inference_parameters"), ConfigError)
    if config.has("inference_parameters"):
        block = config.block("inference_parameters")
    ignored = [name for name in LONG_TEXT_FIELDS if block.has(name)]
    if ignored:
        reading.notices.append(
            "these inference_parameters, of long text and thresholds, are ignored as in NeMo "
            "3.0.0: " + ", ".join(ignored)
        )
    old = is_2503(reading)
    # The 2503 code with a local transformer looks for the end only in the sampled codes.
    old_eos = "multinomial_zero_cb" if model.local_transformer else "argmax_or_multinomial_zero_cb"
    frames = block.integer("max_decoder_steps", 1, m.MAX_COUNT, 500)
    return m.RequestDefaults(
        cfg_scale=block.number("cfg_scale", 0.0, m.MAX_SCALE, 2.5),
        temperature=max(
            0.0, block.number("temperature", -m.MAX_SCALE, m.MAX_SCALE, 0.6 if old else 0.7)
        ),
        top_k=block.integer("topk", 1, m.MAX_COUNT, 80),
        max_frames=frames,
        min_frames=block.integer("min_generated_frames", 0, m.MAX_COUNT, 0 if old else 4),
        eos_method=block.word(
            "eos_detection_method",
            m.EOS_METHODS,
            old_eos if old else "argmax_or_multinomial_any",
        ),
        use_local_transformer=model.local_transformer is not None,
        prior_mode="nemo_2503" if old else "nemo",
        prior=_prior(block, model, old),
        text_history=_history(block),
    )


def _history(block: Block) -> int | None:
    """Reads what requests take with `text_history="checkpoint"`; NeMo 3.0.0 ignores it."""
    name = "history_len_heuristic"
    return block.integer(name, 1, m.MAX_HISTORY) if block.has(name) else None


def _layers(
    block: Block, name: str, model: m.MagpieModel, published: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Reads decoder layers of the prior: those of the listed layers that attend to the text."""
    text = model.decoder.text_layers
    default = text
    if (
        published is not None
        and model.decoder.layers == PUBLISHED_LAYERS
        and model.context == "codes"
    ):
        default = published
    listed = block.integers(name, 0, model.decoder.layers - 1, default)
    kept = tuple(sorted(set(listed) & set(text)))
    if name == "estimate_alignment_from_layers" and not kept:
        raise block.fail(name, "at least one layer that attends to the text")
    return kept


def _prior(block: Block, model: m.MagpieModel, old: bool) -> m.PriorConfig | None:
    if not block.flag("apply_attention_prior", True):
        return None
    epsilon_name, lookahead_name = "attention_prior_epsilon", "attention_prior_lookahead_window"
    # The names of the first Hugging Face revision take precedence, as in the original.
    if block.has("prior_epsilon"):
        epsilon_name = "prior_epsilon"
    if block.has("lookahead_window_size"):
        lookahead_name = "lookahead_window_size"
    lookahead = block.integer(lookahead_name, 1, 1 << 16, 10 if old else 5)
    return m.PriorConfig(
        mode="nemo_2503" if old else "nemo",
        epsilon=block.number(epsilon_name, 0.0, 1.0, 1e-5 if old else 0.1),
        lookahead=lookahead,
        left=1,
        right=5 if old else None,
        estimate_layers=_layers(
            block, "estimate_alignment_from_layers", model, PUBLISHED_ESTIMATE if old else None
        ),
        apply_layers=_layers(
            block, "apply_prior_to_layers", model, PUBLISHED_APPLY if old else None
        ),
        start_step=block.integer(
            "start_prior_after_n_audio_steps", 0, m.MAX_COUNT, 10 if old else 0
        ),
        skip_after=8,
        suppress_after=10,
        suppress="single" if old else "upto",
        short_text=5,
        end_margin=3,
        count_end=not old,
        track_finish=not block.flag("ignore_finished_sentence_tracking", not old),
        unfinished_grace=10 if old else 5,
        force_after=20,
        end_after=0,
        recompute=False,
    )


def window_prior(block: Block, model: m.MagpieModel) -> m.PriorConfig:
    """Builds the fork's window rule from its decoder configuration.

    Raises:
        ConfigError: a field is out of its limits.
    """
    published = model.decoder.layers == PUBLISHED_LAYERS
    text, last = model.decoder.text_layers, model.decoder.layers - 1
    return m.PriorConfig(
        mode="window",
        epsilon=0.1,
        lookahead=block.integer("attention_prior_lookahead", 1, 1 << 16, 5),
        left=block.integer("attention_prior_window_left", 0, 1 << 16, 1),
        right=block.integer("attention_prior_window_right", 0, 1 << 16, 5),
        estimate_layers=block.integers(
            "compute_attention_prior_from_layers",
            0,
            last,
            PUBLISHED_ESTIMATE if published else text,
        ),
        apply_layers=block.integers(
            "apply_attention_prior_to_layers", 0, last, PUBLISHED_APPLY if published else text
        ),
        start_step=0,
        skip_after=8,
        suppress_after=0,
        suppress="single",
        short_text=0,
        end_margin=0,
        count_end=True,
        track_finish=False,
        unfinished_grace=0,
        force_after=0,
        end_after=20,
        recompute=False,
    )
