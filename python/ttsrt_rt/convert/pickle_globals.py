"""The global names that a checkpoint's pickle may contain, and the value that replaces each.

Names are looked up only here: nothing is imported and nothing is called. There are three kinds of
names:

- The few names that make tensors, ordered dicts and plain values: `MAKERS`, `STORAGES`,
  `DTYPE_NAMES`.
- Foreign names that training code stores in entries that are never read here (optimizer state,
  hyper-parameters). They become inert placeholders. The list is fixed; for `omegaconf` it is any
  plain class name in its data modules.
- All other names. They are rejected wherever they appear, and the error gives the name.
"""

from __future__ import annotations

import enum

from ttsrt_rt.convert.lazy_tensor import DTYPES

__all__ = ["DTYPE_NAMES", "MAKERS", "STORAGES", "Maker", "is_harmless"]


class Maker(enum.Enum):
    """What a known callable makes when the stream calls it."""

    ORDERED_DICT = "an empty dict"
    TENSOR = "a tensor of a typed storage"
    TENSOR_WITH_DTYPE = "a tensor of an untyped storage"
    PARAMETER = "the tensor inside"
    SIZE = "the tuple inside"
    LATIN_BYTES = "bytes encoded as latin-1 text, which are never read here"


MAKERS: dict[tuple[str, str], Maker] = {
    ("collections", "OrderedDict"): Maker.ORDERED_DICT,
    ("torch._utils", "_rebuild_tensor_v2"): Maker.TENSOR,
    ("torch._utils", "_rebuild_tensor_v3"): Maker.TENSOR_WITH_DTYPE,
    ("torch._utils", "_rebuild_parameter"): Maker.PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): Maker.PARAMETER,
    ("torch", "Size"): Maker.SIZE,
    ("_codecs", "encode"): Maker.LATIN_BYTES,
}

# Storage class -> dtype tag; "" for untyped bytes, whose dtype the tensor states.
STORAGES: dict[tuple[str, str], str] = {
    ("torch", "DoubleStorage"): "float64",
    ("torch", "FloatStorage"): "float32",
    ("torch", "HalfStorage"): "float16",
    ("torch", "BFloat16Storage"): "bfloat16",
    ("torch", "LongStorage"): "int64",
    ("torch", "IntStorage"): "int32",
    ("torch", "ShortStorage"): "int16",
    ("torch", "CharStorage"): "int8",
    ("torch", "ByteStorage"): "uint8",
    ("torch", "BoolStorage"): "bool",
    ("torch.storage", "UntypedStorage"): "",
    ("torch", "UntypedStorage"): "",
}

# Names of `torch.*` dtypes -> our tag; "" for dtypes that are not supported.
DTYPE_NAMES: dict[str, str] = {
    **{tag: tag for tag in DTYPES},
    **dict.fromkeys(("complex32", "complex64", "complex128", "float8_e4m3fnuz"), ""),
}

NUMPY_ARRAY = "_reconstruct scalar"
LIGHTNING_CALLBACKS = "EarlyStopping ModelCheckpoint"
PATHS = "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"
PLAIN_TYPES = (
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
)

# Module -> class names that become placeholders.
HARMLESS: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "__builtin__": PLAIN_TYPES
        + " long unicode xrange",  # protocol 2 uses the names of Python 2
        "argparse": "Namespace",
        "builtins": PLAIN_TYPES,
        "collections": "Counter defaultdict deque",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "lightning.fabric.utilities.data": "AttributeDict",
        "lightning.pytorch.callbacks.early_stopping": LIGHTNING_CALLBACKS,
        "lightning.pytorch.callbacks.model_checkpoint": LIGHTNING_CALLBACKS,
        "lightning_fabric.utilities.data": "AttributeDict",
        "numpy": "bool bool_ dtype float16 float32 float64 int16 int32 int64 int8 ndarray str_ "
        "uint16 uint32 uint64 uint8",
        "numpy._core.multiarray": NUMPY_ARRAY,
        "numpy._core.numeric": "_frombuffer",
        "numpy.core.multiarray": NUMPY_ARRAY,
        "numpy.core.numeric": "_frombuffer",
        "pathlib": PATHS,
        "pathlib._local": PATHS,
        "pytorch_lightning.callbacks.early_stopping": LIGHTNING_CALLBACKS,
        "pytorch_lightning.callbacks.model_checkpoint": LIGHTNING_CALLBACKS,
        "pytorch_lightning.utilities.parsing": "AttributeDict",
        "torch": "contiguous_format device preserve_format strided",
        "torch.serialization": "_get_layout",
        "typing": "Any Dict List Optional Tuple Union",
        "uuid": "UUID",
    }.items()
}

HARMLESS_MODULES = frozenset(
    {
        "omegaconf",
        "omegaconf.base",
        "omegaconf.basecontainer",
        "omegaconf.dictconfig",
        "omegaconf.listconfig",
        "omegaconf.nodes",
    }
)


def is_harmless(module: str, name: str) -> bool:
    """Whether a foreign name becomes a placeholder instead of raising an error."""
    if module in HARMLESS_MODULES:
        return name.isascii() and name.isidentifier()
    return name in HARMLESS.get(module, ())
