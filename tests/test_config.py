"""Settings: strict, explained, and the same after a round trip."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distrl.config import RunConfig, SimDeviceConfig
from distrl.config_file import load_config, parse_config, to_yaml
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"learnr": {}}, "did you mean learner?"),
        ({"learner": {"batchsize": 3}}, "did you mean learner.batch_size?"),
        ({"batch_size": 3}, "did you mean learner.batch_size?"),
        ({"device": {"kind": "sim", "latencyscale": 1}}, "did you mean device.latency_scale?"),
        ({"device": {"faults": {"hangs": 1}}}, "device.faults.hang"),
        ({"learner": {"batch_size": -1}}, "learner.batch_size = -1"),
        ({"learner": {"batch_size": "many"}}, "learner.batch_size = 'many'"),
        ({"algorithm": {"returns": "lambda"}}, "'retrace', 'vtrace', 'td' or 'monte_carlo'"),
        ({"algorithm": {"penalties": {"invalid": 1.0}}}, "less than or equal to 0"),
        ({"device": {"kind": "iphone"}}, "'sim', 'browser'"),
        ({"policy": {"ui_tree": False}}, "set policy.actions to `pixel`"),
        ({"policy": {"ui_tree": False, "screenshot": False, "actions": "pixel"}}, "would see nothing"),
        ({"replay": {"capacity": 8}}, "lower the first"),
        ({"algorithm": {"mode": "sync"}, "replay": {"min_trajectories": 99}}, "could not start an update"),
        ({"replay": {"w_td": 0, "w_ratio": 0, "w_entropy": 0}}, "replay.prioritised"),
        ({"tasks": {"templates": ["a"], "file": "b"}}, "keep one"),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(raw, expected):
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    assert expected in str(caught.value)


def test_every_bad_setting_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_config({"learner": {"batch_size": 0, "max_grad_nrm": 1.0}, "seeed": 1})
    assert all(name in str(caught.value) for name in ("learner.batch_size", "max_grad_norm", "seed"))


def test_a_resolved_config_reads_back_as_itself():
    config = parse_config({"seed": 7, "device": {"kind": "sim", "screen": [540, 1200]}, "tasks": {"levels": [1]}})
    assert parse_config(yaml.safe_load(to_yaml(config))) == config


def test_overrides_are_yaml_and_win(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\nlearner: {batch_size: 8}\n")
    config = load_config(path, ["learner.batch_size=16", "tasks.levels=[1, 2]", "device.latency=stream"])
    assert (config.seed, config.learner.batch_size, config.tasks.levels) == (3, 16, (1, 2))
    assert isinstance(config.device, SimDeviceConfig)
    assert config.device.latency == "stream"


@pytest.mark.parametrize("override", ["learner.batch_size", "=3", "seed.deep=3", "learner.batch_size=[1"])
def test_a_bad_override_is_refused(tmp_path, override):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\n")
    with pytest.raises(ConfigError, match="--set"):
        load_config(path, [override])


def test_a_missing_or_broken_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="no config file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_config(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="YAML"):
        load_config(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError):
        load_config(tmp_path)


def test_every_setting_has_a_sentence():
    def walk(model):
        for name, info in model.model_fields.items():
            child = info.annotation
            if isinstance(child, type) and hasattr(child, "model_fields"):
                yield from walk(child)
            elif model is not RunConfig and name != "kind":
                yield f"{model.__name__}.{name}", info.description

    undocumented = [name for name, description in walk(RunConfig) if not description]
    assert not undocumented


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_garbage_is_a_config_error_and_nothing_else(raw):
    if isinstance(raw, dict):
        try:
            parse_config(raw)
        except ConfigError as error:
            assert str(error)
