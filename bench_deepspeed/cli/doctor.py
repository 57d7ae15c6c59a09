"""`bench.sh doctor`: what is there, what is missing and how to mend it, a line each.

It must also answer on a bare Python, before anything is installed: so only the standard library is
imported here, and torch, whose import takes seconds, is read as text. It writes nothing.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import sys
import sysconfig
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from urllib.parse import urlsplit

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common.scenario import MODEL
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.paths import LOGS, ROOT, VENV
from bench_deepspeed.core.ports import MII_LISTENS, SERVE_LISTENS, free_port
from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.engines import DEFAULT_ENGINES, engine_class
from bench_deepspeed.machine.environment import Gpu, gpus, installed_version, nvcc_version
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec
from bench_deepspeed.weights import package, random

OK, NOTE, WARNING, MISSING = "ok", "note", "warning", "missing"
BLOCKER = "blocker"  # not even the smallest model runs on the CPU: exit code 3

DRIVERS = {11: 450, 12: 525, 13: 580}  # CUDA's major version → the first driver branch that runs it
PORTS = (29500, 25555)  # where torch's process group and MII's ZMQ socket are by default
HUB_TIMEOUT_S = 3
SHOWN = 5  # packages named in one line
WHERE = {"cuda": "the GPU", "cpu": "the cpu"}
CUDA_NEEDS = {"driver", "torch", "nvcc", "C++ compiler"}  # the names of the checks beside the GPU's own


@dataclass(frozen=True)
class Line:
    """One line of the report. `remedy` says what to do, or what does without."""

    status: str
    name: str
    detail: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: {self.detail}" if self.detail else self.name
        return f"{self.status:<8} {text}" + (f" — {self.remedy}" if self.remedy else "")


def run(options) -> int:
    """Print every check as it is made, then what the machine can run. Raises MachineError: not even smollm2."""
    checks: list[Line] = []

    def show(*made: Line) -> None:
        for check in made:
            print(check, flush=True)
        checks.extend(made)

    show(check_python(sys.version_info[:3]), check_environment(), check_pins(), *check_data())
    found = gpus()
    show(*check_cuda(found, torch_cuda()))
    device = usable_device(checks)
    specs = [catalog.load(name) for name in catalog.names()]
    plans = {spec.name: plan(options.models_dir, spec, device) for spec in specs}
    writes = bool(plans[MODEL["cpu"]])
    show(check_folder("models folder", options.models_dir, "--models_dir", BLOCKER if writes else WARNING))
    show(check_folder("results folder", LOGS, "--output_dir", WARNING))
    memory = memory_bytes(device, found)
    show(*(check_model(spec, plans[spec.name], options.models_dir, device, memory) for spec in specs))
    show(check_login(), check_hub(), *check_ports(PORTS))
    show(Line(NOTE, "network", MII_LISTENS), Line(NOTE, "network of load --target serve", SERVE_LISTENS))
    blockers = [check.name for check in checks if check.status == BLOCKER]
    if blockers:
        raise MachineError(f"this machine cannot run the suite yet: mend {', '.join(blockers)}, as said above")
    print(summary(checks, specs, plans, device))
    return 0


def check_python(version: tuple[int, ...]) -> Line:
    name = f"Python {'.'.join(map(str, version))}"
    if version < (3, 10):
        return Line(BLOCKER, name, "3.10 is the oldest that works", "install a newer one, or name it in BENCH_PYTHON")
    return Line(OK, name)


def check_environment() -> Line:
    """Whether runs find a Python with packages: BENCH_PYTHON, or .venv as setup.sh makes it."""
    if os.environ.get("BENCH_PYTHON"):
        return Line(OK, "environment", f"BENCH_PYTHON, {sys.executable}")
    if VENV.exists() and VENV.samefile(sys.prefix):
        stamps = [name for name in (".installed", ".installed-models") if not (VENV / name).exists()]
        if stamps:
            return Line(MISSING, "environment", ".venv was not set up to its end", "run ./setup.sh")
        return Line(OK, "environment", ".venv")
    if not os.access(ROOT, os.W_OK):
        remedy = "clone to a folder of yours, or set BENCH_PYTHON to a Python with requirements.txt installed"
        return Line(BLOCKER, "environment", f"no .venv, and {ROOT} cannot be written", remedy)
    if util.find_spec("ensurepip") is None:  # Debian splits it off
        return Line(BLOCKER, "environment", "this Python cannot make a .venv", "on Debian, install python3-venv")
    return Line(MISSING, "environment", "no .venv yet", "the first run makes it, or run ./setup.sh (several GB)")


def pins() -> dict[str, str]:
    """The direct dependencies of this Python and their versions, from requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [re.match(r"([\w.-]+)==([\w.+!-]+)(?:\s*;\s*([^#]+))?", line) for line in lines]
    return {pin[1]: pin[2] for pin in found if pin and _applies(pin[3])}


def _applies(marker: str | None) -> bool:
    """Whether a line with `; python_version < "3.11"` is for this Python; False where nothing can tell."""
    if marker is None:
        return True
    if util.find_spec("packaging") is None:
        return False
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def check_pins() -> Line:
    """Whether this Python has the direct dependencies in the versions that results are published with."""
    wanted = pins()
    installed = {name: installed_version(name) for name in wanted}
    absent = [name for name, version in installed.items() if version is None]
    # As pip compares: a local label such as the +cpu of torch 2.13.0+cpu does not count.
    others = [n for n, version in installed.items() if version and version.split("+")[0] != wanted[n]]
    if absent:
        named = ", ".join(absent[:SHOWN]) + (", …" if len(absent) > SHOWN else "")
        detail = f"{len(absent)} of the {len(wanted)} pinned are not installed: {named}"
        return Line(MISSING, "packages", detail, "run ./setup.sh; with BENCH_PYTHON, install requirements.txt there")
    if others:
        differing = ", ".join(f"{name} {installed[name]} instead of {wanted[name]}" for name in others)
        remedy = "figures may differ from those published; ./setup.sh --force installs what is pinned"
        return Line(WARNING, "packages", differing, remedy)
    return Line(OK, "packages", f"all {len(wanted)} in the pinned versions")


def check_data() -> Iterator[Line]:
    """The packages that carry weights or a tokenizer: there, and with the very file that is pinned.

    Then their version does not matter: nothing else of them is used.
    """
    specs = [catalog.load(name) for name in catalog.names()]
    sources = [spec.source for spec in specs if spec.source["kind"] == "package"]
    for source in (*sources, random.TOKENIZER):
        name = f"model data of {source['package']}"
        try:
            package.locate(source)
        except BenchError as error:  # its text names the remedy
            yield Line(MISSING, name, str(error))
        else:
            version = package.find(source["package"]).version
            yield Line(OK, name, f"{version}, {Path(source['file']).name} of {_size(source['bytes'])}, digest verified")


def torch_cuda() -> str | None:
    """The CUDA that torch was built with, such as "13.0"; "" for a build without, None where torch is not there.

    Read from its version.py, as importing torch would take seconds.
    """
    spec = util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    version = Path(spec.origin).with_name("version.py")
    found = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", version.read_text(), re.MULTILINE)
    return found[1] if found else ""


def check_cuda(found: list[Gpu], cuda: str | None) -> Iterator[Line]:
    """The GPUs and, where there are any, all that MII and torch.compile need beside them."""
    yield from check_gpus(found)
    if found:
        yield check_driver(found[0].driver, cuda)
        yield check_torch(cuda)
        yield check_nvcc(nvcc_version(), cuda)
        yield check_triton(installed_version("triton"), cuda)
    yield check_compiler()


def check_gpus(found: list[Gpu]) -> Iterator[Line]:
    if not found:
        if shutil.which("nvidia-smi"):
            remedy = "run nvidia-smi by hand and mend what it says; until then runs are on the CPU"
            yield Line(MISSING, "GPU", "nvidia-smi is there but lists none", remedy)
        else:
            remedy = "runs are on the CPU; for CUDA, a GPU of compute capability 8.0 or more and NVIDIA's driver"
            yield Line(MISSING, "GPU", "nvidia-smi shows none", remedy)
    for gpu, count in Counter(found).items():
        detail = f"{count} × {gpu.name}, compute capability {gpu.capability}, {gpu.memory_mib / 1024:.0f} GiB"
        if _suits_mii(gpu):
            yield Line(OK, "GPU", detail)
        else:
            yield Line(WARNING, "GPU", detail, "MII needs 8.0 or more: here, -d cuda --engine transformers or -d cpu")


def _suits_mii(gpu: Gpu) -> bool:
    """Whether MII's kernels are made for it; old drivers say "[N/A]" for the capability."""
    number = re.fullmatch(r"(\d+)\.\d+", gpu.capability)
    return number is not None and int(number[1]) >= 8


def check_driver(driver: str, cuda: str | None) -> Line:
    major, needed = _major(driver), DRIVERS.get(_major(cuda))
    if major and needed and major < needed:
        detail = f"{driver}, and torch's CUDA {cuda} needs {needed} or newer"
        return Line(MISSING, "driver", detail, "update NVIDIA's driver, or use -d cpu")
    return Line(OK, "driver", driver)


def check_torch(cuda: str | None) -> Line:
    if cuda is None:
        return Line(NOTE, "torch", "not installed yet: its CUDA is compared with driver and nvcc once it is")
    if not cuda:
        remedy = "unset PIP_EXTRA_INDEX_URL and run ./setup.sh --force, or use -d cpu"
        return Line(MISSING, "torch", "a build without CUDA, which leaves the GPU idle", remedy)
    return Line(OK, "torch", f"built with CUDA {cuda}")


def check_nvcc(nvcc: str | None, cuda: str | None) -> Line:
    """MII compiles its kernels at first use, and torch refuses an nvcc of another major version."""
    toolkit = f"the CUDA toolkit {_major(cuda)}.x" if cuda else "the CUDA toolkit"
    remedy = f"install {toolkit} and put nvcc in PATH or set CUDA_HOME; or use --engine transformers"
    if nvcc is None:
        return Line(MISSING, "nvcc", "not there, and MII compiles its kernels", remedy)
    if cuda and _major(nvcc) != _major(cuda):
        return Line(MISSING, "nvcc", f"{nvcc}, and torch was built with CUDA {cuda}", remedy)
    return Line(OK, "nvcc", nvcc)


def check_triton(version: str | None, cuda: str | None) -> Line:
    """torch.compile writes its kernels for the GPU in it; torch's CUDA build brings it along."""
    if version is None and cuda:
        return Line(WARNING, "triton", "not there, and torch.compile needs it", "run ./setup.sh --force, or use MII")
    return Line(OK if version else NOTE, "triton", version or "comes with torch's CUDA build")


def check_compiler() -> Line:
    """What MII's kernels take beside nvcc, and torch.compile on any device: a C++ compiler, and Python's headers."""
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        remedy = "install g++ (MII and torch.compile need it), or set CXX"
        return Line(MISSING, "C++ compiler", f"no {compiler}", remedy)
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        return Line(MISSING, "C++ compiler", f"{compiler}, but no {header}", "on Debian, install python3-dev")
    return Line(OK, "C++ compiler", f"{compiler}, with Python's headers")


def _major(version: str | None) -> int | None:
    number = re.match(r"\d+", version or "")
    return int(number[0]) if number else None


def usable_device(checks: list[Line]) -> str:
    """cuda where a GPU and all that MII needs beside it are there, else cpu."""
    lacking = {check.name for check in checks if check.status in {WARNING, MISSING}}
    return "cuda" if _is_ok(checks, "GPU") and not lacking & CUDA_NEEDS else "cpu"


def memory_bytes(device: str, found: list[Gpu]) -> int:
    """The memory that a model has to fit in: the largest GPU's, or the machine's."""
    if device == "cuda":
        return max(gpu.memory_mib for gpu in found if _suits_mii(gpu)) << 20
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def plan(models_dir: Path, spec: ModelSpec, device: str) -> list[weights.Step]:
    """What is still to do before the device's default engine can load the pretrained model."""
    engine = engine_class(DEFAULT_ENGINES[device])
    return weights.plan(models_dir, spec, weights.Want("pretrained", engine.form, engine.precisions[device][0], 0))


def check_folder(name: str, folder: Path, flag: str, otherwise: str) -> Line:
    """Whether files can be made in a folder, or in the one that it would be made in."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):  # has no name: nothing is left, even by a kill
            return Line(OK, name, str(folder))
    except OSError as error:
        return Line(otherwise, name, f"cannot write to {folder} ({error.strerror})", f"name another with {flag}")


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.access(path, os.F_OK))


def check_model(spec: ModelSpec, steps: list[weights.Step], models_dir: Path, device: str, memory: int) -> Line:
    """Whether a model's weights are there or have room: on the disk, and in the device's memory."""
    name = _model_check(spec)
    worst = BLOCKER if spec.name == MODEL["cpu"] else MISSING
    download, write = sum(step.download_bytes for step in steps), sum(step.write_bytes for step in steps)
    free = shutil.disk_usage(_existing(models_dir)).free
    detail = f"{_size(download)} to download, {_size(write)} to write, {_size(free)} free" if steps else "weights ready"
    detail += "".join(f"; {step.damage}" for step in steps if step.damage)
    if write > free:
        return Line(worst, name, detail, "make room, or name another folder with --models_dir")
    needed = PRECISIONS[engine_class(DEFAULT_ENGINES[device]).precisions[device][0]].value_bytes * spec.parameters
    if needed > memory:
        detail = f"its weights take {_size(needed)} of memory and {WHERE[device]} has {_size(memory)}"
        return Line(worst, name, detail, "use another --model_name, a smaller --precision or a larger machine")
    return Line(OK, name, detail)


def _model_check(spec: ModelSpec) -> str:
    return f"model {spec.name}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB" if count else "nothing"


def token_path() -> Path:
    """Where `hf auth login` keeps the token, by the rules of huggingface_hub, which may not be installed yet."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{cache}/huggingface")
    path = os.environ.get("HF_TOKEN_PATH", f"{home}/token")
    return Path(os.path.expandvars(path)).expanduser()


def check_login() -> Line:
    """Whether there is a token. Its text is shown nowhere."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable, "").strip():
            return Line(OK, "hub login", f"{variable} is set")
    licence = catalog.load(MODEL["cuda"]).source["licence_url"]
    remedy = f"accept the licence at {licence}, then set HF_TOKEN or run `hf auth login`; or use --weights random"
    path = token_path()
    try:
        if path.read_bytes().strip():
            return Line(OK, "hub login", f"a token in {path}")
    except FileNotFoundError:
        pass  # never logged in: said below
    except OSError as error:
        return Line(WARNING, "hub login", f"{path} cannot be read ({error.strerror})", remedy)
    return Line(NOTE, "hub login", f"none, and {MODEL['cuda']} needs one (so may other models of the hub)", remedy)


def check_hub() -> Line:
    """Whether the hub answers; what it answers does not matter here."""
    remedy = f"until it is, only {MODEL['cpu']}, --weights random and what was fetched before work"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return Line(WARNING, "hub", "HF_HUB_OFFLINE is set, so it is not asked", remedy)
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        address = urlsplit(endpoint)
        # Without user and password, which a mirror's address may carry.
        shown = f"{address.scheme}://{address.hostname}" + (f":{address.port}" if address.port else "")
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("not an http address")
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_TIMEOUT_S):
            return Line(OK, "hub", f"{shown} answers")
    except urllib.error.HTTPError:  # "not found" and "forbidden" are answers
        return Line(OK, "hub", f"{shown} answers")
    except ValueError:  # also http.client.InvalidURL
        return Line(WARNING, "hub", "HF_ENDPOINT is not an http address", "mend or unset it")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return Line(WARNING, "hub", f"{shown} cannot be reached ({reason})", remedy)


def check_ports(usual: tuple[int, ...]) -> Iterator[Line]:
    """Engines talk to themselves over loopback; which port it is does not matter to this suite."""
    try:
        free_port()
    except OSError as error:
        detail = f"no port can be bound on 127.0.0.1 ({error.strerror})"
        yield Line(BLOCKER, "ports", detail, "bring the loopback interface up: `ip link set lo up`")
        return
    busy = [str(port) for port in usual if _is_busy(port)]
    if busy:
        yield Line(NOTE, "ports", f"{' and '.join(busy)} busy: no matter, each run takes free ones")
    else:
        yield Line(OK, "ports", "loopback ports can be bound")


def _is_busy(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that was closed a moment ago does not make the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def summary(checks: list[Line], specs: list[ModelSpec], plans: dict[str, list[weights.Step]], device: str) -> str:
    """The last line: which models run here, where and with which weights."""
    fetches = _is_ok(checks, "hub") and _is_ok(checks, "hub login")
    fitting = [spec.name for spec in specs if _is_ok(checks, _model_check(spec))]
    at_hand = [n for n in fitting if fetches or not any(step.download_bytes for step in plans[n])]
    random_only = [name for name in fitting if name not in at_hand]
    # A GPU that MII's kernels suit is the default, even while something beside it is missing.
    place = "the cpu (give -d cpu)" if device == "cpu" and _is_ok(checks, "GPU") else WHERE[device]
    runs = [f"{', '.join(at_hand)} on {place}"]
    if random_only:
        runs.append(f"{', '.join(random_only)} with --weights random on {place}")
    if device != "cpu":
        runs.append(f"{MODEL['cpu']} on the cpu")
    lacks = any(c.status == MISSING and c.name.startswith(("environment", "packages", "model data")) for c in checks)
    return ("once set up, " if lacks else "") + f"this machine runs: {'; '.join(runs)}"


def _is_ok(checks: list[Line], name: str) -> bool:
    return any(check.name == name and check.status == OK for check in checks)
