"""Lists the known fields of a Magpie configuration, so that unknown ones can be reported.

There are two groups: fields that affect inference, which other modules read, and fields of
training, tokenizers, data and logging, which are ignored silently.
"""

from __future__ import annotations

from ttsrt_rt.convert.fields import Block

INFERENCE = [
    "model_type",
    "embedding_dim",
    "hidden_dim",
    "codecmodel_path",
    "vector_quantizer",
    "frame_stacking_factor",
    "text_tokenizers",
    "text_tokenizer",
    "use_bpe_char_tokenizer",
    "use_text_conditioning_encoder",
    "text_conditioning_tokenizer_name",
    "legacy_text_conditioning",
    "context_duration_min",
    "context_duration_max",
    "local_transformer_type",
    "use_local_transformer",
    "local_transformer_n_layers",
    "local_transformer_n_heads",
    "local_transformer_hidden_dim",
    "forced_num_all_tokens_per_codebook",
    "forced_audio_bos_id",
    "forced_audio_eos_id",
    "forced_context_audio_bos_id",
    "forced_context_audio_eos_id",
    "forced_mask_token_id",
    "num_audio_codebooks",
    "num_audio_tokens_per_codebook",
    "transcript_decoder_layers",
    "context_decoder_layers",
    "use_kv_cache_for_inference",
    "speaker_map",
    "language_to_tokenizer_mapping",
    "inference_parameters",
    "nemo_version",
    "encoder",
    "decoder",
    "context_encoder",
    "use_moe",
    "sample_rate",
    "codec_model_downsample_factor",
    "codec_model_name",
    "target",
]

TRAINING = [
    "use_alignment_encoder",
    "use_prior_for_aligner",
    "cfg_unconditional_prob",
    "decoder_input_dropout_prob",
    "aligner_encoder_train_steps",
    "dec_random_input_max",
    "indefinite_prior_prob",
    "ctc_prior_layer_ids",
    "train_shuffle_context_embedding_prob",
    "max_epochs",
    "steps_per_epoch",
    "weighted_sampling_steps_per_epoch",
    "train_ds",
    "validation_ds",
    "test_ds",
    "optim",
    "trainer",
    "exp_manager",
    "freeze_params",
    "load_cached_codes_if_available",
    "load_16khz_audio",
    "load_alignments",
    "phoneme_probability",
    "text_context_remapping_json",
    "text_context_remapping_prob",
    "speaker_emb_dim",
    "pretrained_model",
    "codec_model_path",
    "max_decoder_steps",
    "text_normalizer",
    "text_normalizer_call_kwargs",
    "name",
    "volume_norm",
    "run_val_inference",
    "cas_encoder",
    "g2p",
    "temperature",
    "cache_text",
    "quadratic_duration",
    "min_duration",
    "max_duration",
    "lhotse",
    "use_lhotse",
    "batch_duration",
    "init_from_ptl_ckpt",
    "init_from_nemo_model",
    "dataset_name",
    "bucketing",
    "use_wandb",
    "log_media",
    "lr_schedule",
    "language",
    "datasets",
    "decoder_prior",
    "inference",
]

TRAINING_PREFIXES = (
    "prior_",
    "alignment_",
    "binarize",
    "router_",
    "train_",
    "val_",
    "test_",
    "wandb",
    "log_",
    "_",
)
TRAINING_SUFFIXES = ("_loss_scale", "_ds", "_prob")

KNOWN = frozenset(INFERENCE) | frozenset(TRAINING)


def unknown_fields(config: Block) -> list[str]:
    """Returns the top-level fields that are in neither group, sorted."""
    return sorted(
        str(name)[:80]
        for name in config.values
        if name not in KNOWN
        and not str(name).startswith(TRAINING_PREFIXES)
        and not str(name).endswith(TRAINING_SUFFIXES)
    )
