"""The documentation says what is so: commands parse, settings, names, links and pictures exist, examples run."""

import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

import distrl
from distrl.actions import CODECS
from distrl.cli import app
from distrl.config import RunConfig
from distrl.config_file import load_config, parse_config
from distrl.device.sim.tasks import suite as suites

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SCRIPTS_BESIDE_THE_PACKAGE = (ROOT / "docs", ROOT / "configs")


def name_of(path):
    return str(path.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pytest.fixture(scope="module")
def made_by():
    """Imports one of the scripts that write pages, configs or pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*map(str, SCRIPTS_BESIDE_THE_PACKAGE), *sys.path])
        yield importlib.import_module


@pytest.fixture(scope="module")
def pictures(made_by):
    return made_by("make_pictures").pictures()


def fenced(text, language):
    """The contents of code blocks in one language."""
    return re.findall(rf"^[ ]*```{language}\n(.*?)^[ ]*```$", text, re.DOTALL | re.MULTILINE)


def without_code(text):
    return re.sub(r"^[ ]*```.*?^[ ]*```$", "", text, flags=re.DOTALL | re.MULTILINE)


def commands_in(text):
    """Every line of a shell block that starts our program, and every `distrl ...` in backticks that names options."""
    lines = [line.strip().partition("#")[0] for block in fenced(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("distrl ")]


def refusal(line):
    """Why the program would refuse this command line before it does anything; None when it would not."""
    group = typer.main.get_command(app)
    arguments = shlex.split(line)[1:]
    try:
        with group.make_context("distrl", arguments[:1], resilient_parsing=True) as context:
            name, command, rest = group.resolve_command(context, arguments)
            with command.make_context(name, rest, parent=context) as parsed:
                if name in ("train", "sft"):
                    load_config(ROOT / parsed.params["config"], parsed.params["overrides"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it.
        return f"{line}: {type(error).__name__}: {error}"
    return None


def test_there_are_pages_to_check():
    assert {"README.md", "docs/index.md", "docs/extending.md", "docs/configuration.md"} <= set(map(name_of, PAGES))
    assert sum(len(commands_in(page.read_text("utf-8"))) for page in PAGES) >= 15


@each_page
def test_every_command_line_is_one_that_the_program_accepts(page):
    problems = [refusal(line) for line in commands_in(page.read_text("utf-8"))]
    assert not [problem for problem in problems if problem]


@pytest.mark.parametrize(
    "line",
    [
        "distrl teach configs/quickstart.yaml",
        "distrl train configs/quickstart.yaml --sett seed=1",
        "distrl train configs/quickstart.yaml --set learner.batchsize=1",
        "distrl train configs/nowhere.yaml",
        "distrl eval runs/mine --episodes many",
        "distrl report",
    ],
)
def test_a_wrong_command_line_is_found(line):
    assert refusal(line)


@each_page
def test_commands_named_in_running_text_exist(page):
    known = set(typer.main.get_command(app).commands)
    named = re.findall(r"`distrl ([a-z]+)", page.read_text("utf-8"))
    assert set(named) <= known


def settings_of(model, prefix=""):
    """Dotted names of all settings and groups."""
    from distrl.config_file import _models_of

    names = set()
    for name, info in model.model_fields.items():
        names.add(prefix + name)
        for child in _models_of(info.annotation):
            names |= settings_of(child, f"{prefix}{name}.")
    return names


def settings_in(text):
    """What looks like a setting: `part.key` in backticks, or with a value as `part.key: value`."""
    parts = "|".join(name for name in RunConfig.model_fields if name != "seed")
    found = re.findall(rf"`((?:{parts})\.[a-z_][a-z_.]*[a-z])(?::[^`]*|=[^`]*)?`", text)
    return {name for name in found if not name.endswith((".py", ".md", ".yaml", ".json", ".sqlite"))}


def test_the_search_for_settings_finds_them():
    text = "`replay.alpha`, `algorithm.mode: sync`, `device.faults.hang`, `policy.py`, `evaluation.sqlite`, `store.xy`"
    assert settings_in(text) == {"replay.alpha", "algorithm.mode", "device.faults.hang", "store.xy"}


@each_page
def test_every_setting_that_is_named_exists(page):
    assert settings_in(page.read_text("utf-8")) <= settings_of(RunConfig)


@each_page
def test_yaml_on_a_page_is_a_valid_config(page):
    for block in fenced(page.read_text("utf-8"), "yaml"):
        parse_config(yaml.safe_load(block), source=name_of(page))


def test_every_setting_is_documented_with_a_sentence():
    rows = re.findall(r"^\| `([a-z_.]+)` \|.*\| (.*) \|$", (ROOT / "docs/configuration.md").read_text("utf-8"), re.M)
    described = {name for name, sentence in rows if sentence.strip()}
    groups = {name for name in settings_of(RunConfig) if any(s.startswith(f"{name}.") for s in settings_of(RunConfig))}
    assert described == settings_of(RunConfig) - groups


def test_the_configuration_page_is_up_to_date(made_by):
    assert (ROOT / "docs/configuration.md").read_text("utf-8") == made_by("make_configuration_page").page(), (
        "run: python docs/make_configuration_page.py"
    )


def test_the_tasks_page_is_up_to_date(made_by):
    """Every template has its row; every sixth row is made again, as playing all oracles takes long."""
    suite, text = suites.SimSuite(), (ROOT / "docs/tasks.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE)) == sorted(suite.templates)
    for name in suite.templates[::6]:
        assert made_by("make_tasks_page").row(suite, name) in text, "run: python docs/make_tasks_page.py"


def test_configs_made_from_others_are_up_to_date(made_by):
    for name, text in made_by("make_variants").texts().items():
        assert (ROOT / "configs" / name).read_text("utf-8") == text, "run: python configs/make_variants.py"


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_every_config_loads_and_says_what_it_is_for(path):
    load_config(path)
    assert path.read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["phones.png", "apps-1.png", "apps-2.png", "layers.png", "elements.png", "sizes.png"])
def test_pictures_show_the_phone_as_it_is(name, pictures):
    written = io.BytesIO()
    pictures[name].quantize(256, dither=Image.Dither.NONE).save(written, "PNG")
    now, before = (
        np.asarray(Image.open(file).convert("RGB"), dtype=np.int64) for file in (written, ROOT / "docs/images" / name)
    )
    assert now.shape == before.shape, "run: python docs/make_pictures.py"
    assert np.abs(now - before).mean() < 0.5, "run: python docs/make_pictures.py"


def anchors_of(path):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page, text):
    """Relative links and pictures that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@each_page
def test_every_relative_link_and_picture_resolves(page):
    assert not broken_links(page, page.read_text("utf-8"))


def test_a_broken_link_is_found():
    text = "[a](nowhere.md) ![b](images/none.png) [c](index.md#no-such-heading) [d](index.md) [e](https://x.example)"
    assert broken_links(ROOT / "docs/quickstart.md", text) == [
        "nowhere.md",
        "images/none.png",
        "index.md#no-such-heading",
    ]


@each_page
def test_every_file_named_in_backticks_exists(page):
    names = re.findall(r"`((?:distrl|docs|configs|scripts|tests|benchmarks)/[\w./-]*)`", page.read_text("utf-8"))
    planned = {"distrl/cluster.py", "distrl/device/adb"}
    files = [name for name in names if name not in planned and not re.search(r"-v\d+$", name)]  # Not environment ids.
    assert not [name for name in files if not (ROOT / name).exists()]


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert set(PAGES) <= reached


def missing_symbols(text):
    """Dotted names in our package that cannot be imported."""
    missing = []
    for name in sorted(set(re.findall(r"`(distrl(?:\.\w+)+)`", text))):
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            break
        try:
            for part in parts[cut:]:
                found = getattr(found, part)
        except AttributeError:
            missing.append(name)
    return missing


@each_page
def test_every_public_name_exists(page):
    assert not missing_symbols(page.read_text("utf-8"))


def test_a_name_that_does_not_exist_is_found():
    text = "`distrl.losses.policy_loss` `distrl.losses.no_such_loss` `distrl.no_such_module.x`"
    assert missing_symbols(text) == ["distrl.losses.no_such_loss", "distrl.no_such_module.x"]


def examples():
    for page in PAGES:
        for number, block in enumerate(fenced(page.read_text("utf-8"), "python")):
            yield pytest.param(page, block, id=f"{name_of(page)}-{number}")


@pytest.mark.parametrize(("page", "block"), list(examples()))
def test_python_examples_run(page, block, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suites, "ALL", suites.ALL)  # Examples add to these; what they add ends with them.
    codecs = dict(CODECS)
    try:
        exec(compile(block, name_of(page), "exec"), {"__name__": "example"})
    finally:
        CODECS.clear()
        CODECS.update(codecs)


def test_extending_has_a_worked_example_for_each_kind_of_thing():
    text = (ROOT / "docs/extending.md").read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "A new task",
        "A new app",
        "A new device",
        "A new action format",
        "A new policy loss",
        "A new judge",
    ]
    assert all(len(fenced(section, "python")) == 1 for section in sections)


def test_metrics_named_on_their_page_are_written_somewhere():
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "distrl").rglob("*.py"))
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE)
    names = [name for cell in table for name in re.findall(r"`([a-z_]+/[a-z_/]+)`", cell)]
    assert len(names) > 50
    unknown = [name for name in names if not _is_written(name, source)]
    assert not unknown


def _is_written(name, source):
    """Whether the name, or its first part with a computed rest and its last word, stands in the source."""
    part, _, rest = name.partition("/")
    last = rest.removesuffix("_spread").rsplit("/", 1)[-1].removeprefix("fault_").removeprefix("invalid_")
    word = last.removeprefix("penalty_").removesuffix("_s")
    literal = f'"{name}"' in source
    computed = re.search(rf'f"{part}/[a-z_/]*{{', source) and re.search(rf"\b{word}\b", source)
    return bool(literal or computed)


def test_the_errors_named_on_the_failures_page_exist():
    from distrl import errors

    named = re.findall(r"`(\w+Error)`", (ROOT / "docs/failures.md").read_text("utf-8"))
    assert len(set(named)) > 10
    assert not [name for name in named if not hasattr(errors, name)]


def test_the_package_is_typed_and_has_the_version_of_the_changelog():
    assert (Path(distrl.__file__).parent / "py.typed").exists()
    assert f"## [{distrl.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
