"""Pickle streams that would execute code in an ordinary unpickler.

Each function returns opcodes that leave one value on the stack, as a fragment without PROTO and
STOP, so that tests can insert it anywhere. If the callable runs a command, the command creates the
sentinel file.
"""

from __future__ import annotations

from pathlib import Path

from .builders import Raw, Tensor, encode, named, reduce

CALLS: dict[str, tuple[str, ...]] = {
    "os.system": ("shell",),
    "posix.system": ("shell",),
    "nt.system": ("shell",),
    "os.popen": ("shell",),
    "os.execl": ("/bin/sh", "sh", "-c", "shell"),
    "subprocess.Popen": ("shell",),
    "subprocess.call": ("shell",),
    "subprocess.check_output": ("shell",),
    "pty.spawn": ("shell",),
    "commands.getoutput": ("shell",),
    "builtins.eval": ("python",),
    "builtins.exec": ("python",),
    "__builtin__.eval": ("python",),
    "builtins.compile": ("python", "x", "exec"),
    "builtins.__import__": ("os",),
    "builtins.getattr": ("x", "y"),
    "builtins.open": ("sentinel", "w"),
    "builtins.map": ("x", "y"),
    "builtins.type": ("x",),
    "io.open": ("sentinel", "w"),
    "importlib.import_module": ("os",),
    "imp.load_source": ("x", "sentinel"),
    "runpy.run_path": ("sentinel",),
    "runpy._run_code": ("python",),
    "code.interact": (),
    "bdb.Bdb.run": ("python",),
    "pdb.run": ("python",),
    "cProfile.run": ("python",),
    "profile.run": ("python",),
    "timeit.timeit": ("python",),
    "trace.Trace.run": ("python",),
    "pydoc.pipepager": ("x", "shell"),
    "webbrowser.open": ("file:///x",),
    "ctypes.CDLL": ("sentinel",),
    "marshal.loads": ("x",),
    "pickle.loads": ("x",),
    "_pickle.loads": ("x",),
    "dill._dill._load_type": ("CodeType",),
    "cloudpickle.cloudpickle._make_function": ("x",),
    "joblib.load": ("sentinel",),
    "yaml.unsafe_load": ("x",),
    "types.FunctionType": ("x",),
    "types.CodeType": ("x",),
    "sys.exit": (),
    "shutil.rmtree": ("sentinel",),
    "socket.create_connection": ("x",),
    "multiprocessing.util.spawnv_passfds": ("x",),
    "asyncio.create_subprocess_shell": ("shell",),
    "codecs.decode": ("x", "rot13"),
    "codecs.open": ("sentinel", "w"),
    "_codecs.encode": ("x", "rot13"),
    "_codecs.decode": ("x", "latin1"),
    "operator.attrgetter": ("system",),
    "operator.methodcaller": ("system", "shell"),
    "_operator.attrgetter": ("system",),
    "functools.partial": ("x",),
    "functools.reduce": ("x", "y"),
    "itertools.starmap": ("x", "y"),
    "copyreg._reconstructor": ("x", "y", "z"),
    "copyreg.__newobj__": ("x",),
    "copy_reg._reconstructor": ("x", "y", "z"),
    "copyreg.add_extension": ("os", "system"),
    "numpy.f2py.crackfortran.myeval": ("python",),
    "numpy.f2py.diagnose.run_command": ("shell",),
    "numpy.testing._private.utils.runstring": ("python", "x"),
    "numpy.load": ("sentinel",),
    "numpy.memmap": ("sentinel",),
    "pip.main": ("install",),
    "pip._internal.main": ("install",),
    "torch.load": ("sentinel",),
    "torch.hub.load": ("x", "y"),
    "torch.jit.load": ("sentinel",),
    "torch.ops.load_library": ("sentinel",),
    "torch.compile": ("x",),
    "torch.package.PackageImporter": ("sentinel",),
    "torch.storage._load_from_bytes": ("x",),
    "torch.utils.cpp_extension.load_inline": ("x", "y"),
    "torch.utils.model_zoo.load_url": ("x",),
    "torch._utils._rebuild_tensor": ("x",),
    "torch._tensor._rebuild_from_type_v2": ("x",),
    "torch.nn.modules.linear.Linear": ("x",),
    "torch.fx.graph_module.reduce_graph_module": ("x",),
    "torch.distributed.rpc.rpc_sync": ("x",),
    "tensorflow.load_library": ("sentinel",),
    "omegaconf.OmegaConf.load": ("sentinel",),
    "omegaconf.resolvers.oc.env": ("HOME",),
    "pathlib.Path.write_text": ("sentinel",),
    "collections.OrderedDict.fromkeys": ("x",),
    "collections.namedtuple": ("x", "y"),
    "nemo.core.classes.common.Serialization.from_config_dict": ("x",),
}


def commands(sentinel: Path) -> dict[str, str]:
    """Returns the values of the placeholders in `CALLS`."""
    return {
        "shell": f"touch {sentinel}",
        "python": f"open({str(sentinel)!r}, 'w').close()",
        "sentinel": str(sentinel),
    }


def call_gadgets(sentinel: Path) -> dict[str, bytes]:
    """Returns name -> GLOBAL, arguments, REDUCE."""
    words = commands(sentinel)
    found: dict[str, bytes] = {}
    for path, arguments in CALLS.items():
        module, _, name = path.rpartition(".")
        found[path] = reduce(module, name, *(words.get(each, each) for each in arguments))
    return found


def text(value: str) -> bytes:
    """Returns a SHORT_BINUNICODE opcode."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def opcode_gadgets(sentinel: Path) -> dict[str, tuple[bytes, str]]:
    """Returns name -> opcodes and the text that the error message must contain."""
    shell = commands(sentinel)["shell"]
    line = shell.encode()
    arguments = encode((shell,))
    system = named("os", "system")
    memoised = (
        text("os") + b"\x94" + text("system") + b"\x94" + b"00h\x00h\x01\x93" + arguments + b"R"
    )
    tensor = encode(Tensor("0", (1,)))
    storage_type = encode(("storage", Raw(named("os", "system")), "0", "cpu", 1)) + b"Q"
    harmless = named("pathlib", "Path")
    return {
        "INST": (b"(" + encode(shell) + b"ios\nsystem\n", "INST"),
        "OBJ": (b"(" + system + encode(shell) + b"o", "os.system"),
        "OBJ of a placeholder": (b"(" + harmless + encode(shell) + b"o", "OBJ"),
        "NEWOBJ": (system + arguments + b"\x81", "os.system"),
        "NEWOBJ of a dict": (named("collections", "OrderedDict") + b")\x81", "NEWOBJ"),
        "NEWOBJ_EX": (harmless + b")}\x92", "NEWOBJ_EX"),
        "BUILD of a call": (named("collections", "OrderedDict") + b"}b", "BUILD"),
        "BUILD of a tensor": (tensor + b"}b", "BUILD"),
        "BUILD with attributes": (b"}" + encode({"__class__": "x"}) + b"b", "__class__"),
        "BUILD with slots": (b"}" + encode((None, {"__reduce__": "x"})) + b"b", "BUILD"),
        "EXT1": (b"\x82\x01", "EXT1"),
        "EXT2": (b"\x83\x01\x00", "EXT2"),
        "EXT4": (b"\x84\x01\x00\x00\x00", "EXT4"),
        "STACK_GLOBAL": (text("os") + text("system") + b"\x93" + arguments + b"R", "os.system"),
        "STACK_GLOBAL memoised": (memoised, "os.system"),
        "STACK_GLOBAL dotted": (
            text("collections") + text("OrderedDict.__class__") + b"\x93",
            "OrderedDict.__class__",
        ),
        "STACK_GLOBAL dotted harmless": (
            text("omegaconf.nodes") + text("sys.modules") + b"\x93",
            "sys.modules",
        ),
        "STACK_GLOBAL of a number": (b"K\x01" + text("x") + b"\x93", "a module and a name"),
        "GLOBAL with a space": (b"cos system\nx\n", "os system"),
        "PERSID": (b"P" + line + b"\n", "PERSID"),
        "BINPERSID of text": (encode(shell) + b"Q", "storage"),
        "BINPERSID of a module": (encode(("module", "os", "x", "y", 1)) + b"Q", "storage"),
        "BINPERSID with a function": (storage_type, "os.system"),
        "BINPERSID with a path": (
            encode(("storage", Raw(named("torch", "FloatStorage")), "../../etc", "cpu", 1)) + b"Q",
            "digits",
        ),
        "REDUCE of text": (encode("os.system") + arguments + b"R", "a name that makes"),
        "REDUCE of a storage type": (named("torch", "FloatStorage") + arguments + b"R", "makes"),
        "REDUCE of a dtype": (named("torch", "float32") + arguments + b"R", "makes"),
        "REDUCE with a list": (named("collections", "OrderedDict") + b"]R", "a tuple of arguments"),
        "REDUCE nested in a tensor": (
            reduce("torch._utils", "_rebuild_tensor_v2", Raw(reduce("os", "system", shell))),
            "os.system",
        ),
        "REDUCE in backward hooks": (
            encode(Tensor("0", (1,), hooks=Raw(reduce("os", "system", shell)))),
            "os.system",
        ),
        "backward hooks": (encode(Tensor("0", (1,), hooks={"x": harmless.decode()})), "hooks"),
        "OrderedDict with arguments": (reduce("collections", "OrderedDict", []), "OrderedDict"),
        "NEXT_BUFFER": (b"\x97", "NEXT_BUFFER"),
        "READONLY_BUFFER": (b"N\x98", "READONLY_BUFFER"),
        "INT": (b"I1\n", "INT"),
        "LONG": (b"L1L\n", "LONG"),
        "FLOAT": (b"F1\n", "FLOAT"),
        "STRING": (b"S'x'\n", "STRING"),
        "UNICODE": (b"Vx\n", "UNICODE"),
        "PUT": (b"Np0\n", "PUT"),
        "GET": (b"g0\n", "GET"),
        "BINSTRING": (b"U\x01x", "BINSTRING"),
        "unknown opcode": (b"\xff", "0xff"),
    }
