"""The direction of imports, read from the source: which part may know which."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import distrl

PACKAGE = Path(distrl.__file__).parent
HEAVY = {"torch", "transformers", "ray", "matplotlib", "tensorboard", "selenium", "gymnasium"}


def name_of(path):
    parts = ("distrl", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_by(node, name):
    """The modules that one import statement names, those of `from package import module` included."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        package = name.split(".") if SOURCES[name].name == "__init__.py" else name.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
    return {base, *(f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in SOURCES)}


def is_typing_only(node):
    test = getattr(node, "test", None)
    return isinstance(node, ast.If) and "TYPE_CHECKING" in {getattr(test, "id", ""), getattr(test, "attr", "")}


def walk(node, *, top_only):
    """Nodes that run when the module is imported; with `top_only` False also those inside functions."""
    for child in ast.iter_child_nodes(node):
        if is_typing_only(child):
            continue
        yield child
        if top_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield from walk(child, top_only=top_only)


@functools.cache
def imports(name, *, top_only=True):
    tree = ast.parse(SOURCES[name].read_text(encoding="utf-8"))
    return {module for node in walk(tree, top_only=top_only) for module in imported_by(node, name) if module}


def all_imports(name):
    """Every module that importing `name` imports, through our own modules; with the way to it."""
    ways, waiting = {name: name}, [name]
    while waiting:
        current = waiting.pop()
        parents = {".".join(current.split(".")[:i]) for i in range(1, current.count(".") + 1)}
        found = (imports(current) if current in SOURCES else set()) | (parents & set(SOURCES))
        for module in found - set(ways):
            ways[module] = f"{ways[current]} -> {module}"
            if module in SOURCES:
                waiting.append(module)
    return ways


def modules(prefix):
    return [name for name in SOURCES if name == prefix or name.startswith(prefix + ".")]


def refuse(name, forbidden):
    ways = all_imports(name)
    wrong = [way for module, way in ways.items() for bad in forbidden if module == bad or module.startswith(bad + ".")]
    assert not wrong, "\n".join(wrong)


TORCHLESS = [
    *modules("distrl.device"),
    *modules("distrl.actions"),
    *(f"distrl.{name}" for name in ("errors", "metrics", "types", "config", "config_file", "tasks", "judge", "env")),
    *(
        f"distrl.{name}"
        for name in ("trajectory", "store", "inbox", "replay", "worker", "pacing", "evaluate", "build", "cli")
    ),
]


@pytest.mark.parametrize("name", TORCHLESS)
def test_these_parts_import_no_torch_not_even_through_others(name):
    refuse(name, ["torch", "transformers", "safetensors.torch"])


@pytest.mark.parametrize(
    "name", ["distrl.worker", "distrl.env", "distrl.inbox", "distrl.store", *modules("distrl.policy")]
)
def test_what_acts_knows_nothing_of_what_learns(name):
    refuse(name, [f"distrl.{part}" for part in ("learner", "replay", "losses", "returns", "critic", "loop", "local")])


@pytest.mark.parametrize("name", ["distrl.learner", "distrl.critic", "distrl.losses", "distrl.replay", "distrl.loop"])
def test_what_learns_knows_no_device_and_no_environment(name):
    refuse(name, ["distrl.device", "distrl.env", "distrl.worker", "distrl.judge", "distrl.local"])


@pytest.mark.parametrize("name", ["distrl.returns", "distrl.losses", "distrl.baselines"])
def test_the_maths_imports_torch_and_itself_alone(name):
    allowed = {"torch", "distrl.returns", "distrl.losses"}
    foreign = {
        m for m in imports(name, top_only=False) if m.split(".")[0] not in sys.stdlib_module_names and m not in allowed
    }
    assert foreign <= {"torch.nn.functional", "torch.nn"}


def test_a_device_knows_no_policy_and_no_reward():
    for name in modules("distrl.device"):
        refuse(
            name, ["distrl.policy", "distrl.env", "distrl.worker", "distrl.learner", "distrl.replay", "distrl.store"]
        )


def test_only_the_cluster_imports_ray():
    knowing = {name for name in SOURCES if any(m.split(".")[0] == "ray" for m in imports(name, top_only=False))}
    assert knowing <= {"distrl.cluster"}


@pytest.mark.parametrize(
    "name", ["distrl", "distrl.config", "distrl.config_file", "distrl.errors", "distrl.cli", "distrl.doctor"]
)
def test_what_answers_at_once_imports_nothing_heavy(name):
    refuse(name, [*HEAVY, "numpy", "PIL"])


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("distrl.errors", ["distrl"]),
        ("distrl.metrics", ["distrl.types", "distrl.config", "distrl.device"]),
        ("distrl.types", ["distrl.config", "distrl.device", "distrl.actions"]),
        ("distrl.config", ["distrl.types", "distrl.device", "distrl.policy", "distrl.build"]),
        ("distrl.tasks", ["distrl.device", "distrl.env", "distrl.policy"]),
        ("distrl.judge", ["distrl.env", "distrl.policy", "distrl.worker"]),
        ("distrl.env", ["distrl.worker", "distrl.policy", "distrl.store"]),
        ("distrl.store", ["distrl.worker", "distrl.inbox", "distrl.replay"]),
        ("distrl.weights", ["distrl.learner", "distrl.policy", "distrl.worker"]),
        ("distrl.checkpoint", ["distrl.learner", "distrl.replay", "distrl.local"]),
        ("distrl.evaluate", ["distrl.local", "distrl.learner", "distrl.store"]),
    ],
)
def test_imports_point_up_the_list(name, below):
    """`distrl` as a prefix stands for every part, the package itself apart."""
    ways = {m: way for m, way in all_imports(name).items() if m not in ("distrl", name)}
    wrong = [way for module, way in ways.items() for bad in below if module == bad or module.startswith(bad + ".")]
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other():
    for name in SOURCES:
        for other in imports(name) & set(SOURCES):
            package = other == name or name.startswith(other + ".") or other.startswith(name + ".")
            assert package or name not in imports(other), f"{name} and {other} import each other"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_neither_torch_nor_transformers(arguments):
    code = (
        "import sys; sys.argv = ['distrl', *sys.argv[1:]]\n"
        "from distrl.cli import main\n"
        "try:\n    main()\nfinally:\n"
        f"    assert not set(sys.modules) & {HEAVY | {'numpy', 'PIL'}!r}, 'heavy'\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "distrl" in done.stdout.lower()


def test_the_reader_sees_imports_where_they_hide():
    tree = ast.parse(
        "if True:\n    import a\ntry:\n    from b import c\nexcept E:\n    pass\n"
        "class K:\n    import d\n\ndef f():\n    import e\n"
    )
    found = {m for node in walk(tree, top_only=True) for m in imported_by(node, "distrl.cli")}
    assert found == {"a", "b", "d"}
    found = {m for node in walk(tree, top_only=False) for m in imported_by(node, "distrl.cli")}
    assert found == {"a", "b", "d", "e"}
