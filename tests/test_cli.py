"""The command line: help and dry runs of every command, and errors without tracebacks."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from distrl import __version__, cli

COMMANDS = ("train", "sft", "eval", "phone", "tasks", "report", "doctor")


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the program in this process; returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["distrl", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("learner:\n  batch_size: 8\n", encoding="utf-8")
    return path


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert command in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_dry_run(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "--dry-run" in out
    assert f"distrl {command}" in out


def test_the_commands_are_exactly_the_documented_ones():
    assert {command.name or command.callback.__name__ for command in cli.app.registered_commands} >= set(COMMANDS)


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"distrl {__version__}\n", "")


def test_without_arguments_help_is_shown(run):
    code, out, err = run()
    assert "Usage" in out + err
    assert code in (0, 2)


@pytest.mark.parametrize("command", ["train", "sft"])
def test_a_dry_run_prints_the_resolved_settings_and_does_nothing(run, config, tmp_path, command):
    out_folder = tmp_path / "made"
    target = ["--run-dir", out_folder] if command == "train" else ["--out", out_folder]
    code, out, _ = run(command, config, *target, "--set", "learner.batch_size=16", "--set", "seed=3", "--dry-run")
    assert code == 0
    settings = yaml.safe_load(out)
    assert (settings["learner"]["batch_size"], settings["seed"]) == (16, 3)
    assert settings["replay"]["alpha"] == 0.5  # Every default is written out.
    assert not out_folder.exists()


@pytest.mark.parametrize("command", ["phone", "tasks", "doctor"])
def test_commands_without_a_run_have_a_dry_run(run, command):
    code, out, err = run(command, "--dry-run")
    assert code == 0, err
    assert out


@pytest.mark.parametrize("command", ["eval", "report"])
def test_a_dry_run_on_something_that_is_no_run_says_so(run, tmp_path, command):
    code, _, err = run(command, tmp_path / "nothing", "--dry-run")
    assert code == 1
    assert err.startswith("error: ")
    assert "nothing" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learner.batch_sice=4", "did you mean learner.batch_size?"),
        ("lerner.batch_size=4", "did you mean learner?"),
        ("learner.batch_size=0", "learner.batch_size = 0"),
        ("learner.batch_size", "--set takes key=value"),
        ("algorithm.name=sarsa", "algorithm.name = 'sarsa'"),
        ("policy.ui_tree=false", "set policy.actions to `pixel`"),
    ],
)
def test_a_wrong_setting_ends_with_one_message_and_no_traceback(run, config, override, message):
    code, out, err = run("train", config, "--set", override)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in out + err


def test_a_missing_config_names_the_ones_there_are(run, tmp_path):
    code, _, err = run("train", tmp_path / "gone.yaml")
    assert code == 1
    assert "no config file" in err
    assert "gone.yaml" in err


def test_a_task_set_with_bad_lines_is_refused_by_line(run, tmp_path):
    path = tmp_path / "set.txt"
    path.write_text("settings.wifi\nsettings.wify\n", encoding="utf-8")
    code, _, err = run("tasks", "--file", path)
    assert code == 1
    assert "line 2: no template 'settings.wify'; did you mean settings.wifi?" in err


def test_python_dash_m_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "distrl", "--version"], check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, f"distrl {__version__}\n")


def test_python_dash_m_prints_known_errors_and_exits_with_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "distrl", "train", str(tmp_path / "gone.yaml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: no config file")
    assert "Traceback" not in done.stderr
