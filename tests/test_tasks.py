"""Which task comes next: task-set files, seeded order, exact resume, curriculum."""

import json
from collections import Counter

import pytest

from distrl.device.fake import fake_task
from distrl.errors import TaskError
from distrl.tasks import TaskStream, fixed_tasks, read_task_set

KNOWN = ("clock.add_alarm", "clock.stop", "notes.write", "shop.buy")


class Suite:
    name = "fake"

    def splits(self):
        return {"train": KNOWN, "held_out_params": KNOWN[:2], "held_out_templates": (), "held_out_app": ()}

    def make_task(self, template_name, *, split, seed):
        task = fake_task(seed=seed, split=split)
        return type(task)(**{**vars(task), "template": template_name, "id": f"{template_name}/{split}/{seed}"})


def stream(**changes):
    return TaskStream(Suite(), KNOWN, **{"seed": 3, **changes})


def write(tmp_path, text):
    path = tmp_path / "set.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task_set_names_templates_once_in_order_with_comments_and_patterns(tmp_path):
    path = write(tmp_path, "# mine\nshop.buy   # first\n\nclock.*\nclock.stop\n")
    assert read_task_set(path, KNOWN) == ("shop.buy", "clock.add_alarm", "clock.stop")


def test_every_bad_line_of_a_task_set_is_listed_with_its_number_and_near_miss(tmp_path):
    path = write(tmp_path, "clock.stop\nnotes.wriet\n# fine\nzzz.*\n")
    with pytest.raises(TaskError) as refused:
        read_task_set(path, KNOWN)
    message = str(refused.value)
    assert str(path) in message
    assert "line 2: no template 'notes.wriet'; did you mean notes.write?" in message
    assert "line 4: no template 'zzz.*'" in message
    assert "line 1" not in message


def test_a_task_set_without_names_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(TaskError, match="names no template; write one template name per line"):
        read_task_set(write(tmp_path, "# nothing\n\n"), KNOWN)


def test_a_task_set_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"cannot read the task set .*gone\.txt"):
        read_task_set(tmp_path / "gone.txt", KNOWN)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match="cannot read the task set"):
        read_task_set(tmp_path / "binary", KNOWN)


def test_evaluation_tasks_take_templates_in_turn_and_count_seeds_up():
    tasks = fixed_tasks(Suite(), "held_out_params", num_tasks=5)
    assert [(task.template, task.seed) for task in tasks] == [
        ("clock.add_alarm", 0), ("clock.stop", 0), ("clock.add_alarm", 1), ("clock.stop", 1), ("clock.add_alarm", 2),
    ]  # fmt: skip
    assert fixed_tasks(Suite(), "held_out_app", num_tasks=5) == []


def test_the_uniform_order_deals_every_template_once_per_round_and_shuffles_rounds():
    names = [stream_task.template for source in [stream()] for stream_task in (source.next() for _ in range(40))]
    rounds = [tuple(names[i : i + 4]) for i in range(0, 40, 4)]
    assert all(sorted(dealt) == sorted(KNOWN) for dealt in rounds)
    assert len(set(rounds)) > 3


def test_equal_seeds_give_equal_orders_and_other_seeds_others():
    def ids(seed):
        source = stream(seed=seed)
        return [source.next().id for _ in range(20)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


@pytest.mark.parametrize("curriculum", ["uniform", "surprise"])
@pytest.mark.parametrize("num_before", [0, 1, 6])
def test_a_resumed_stream_goes_on_with_exactly_the_same_tasks(curriculum, num_before):
    def advance(source, number):
        ids = []
        for _ in range(number):
            task = source.next()
            source.report(task.template, 0.9 if task.template == "shop.buy" else 0.05)
            ids.append(task.id)
        return ids

    whole = stream(curriculum=curriculum)
    advance(whole, num_before)
    state = json.loads(json.dumps(whole.state_dict()))
    resumed = stream(curriculum=curriculum, seed=99)
    resumed.load_state_dict(state)
    assert advance(resumed, 30) == advance(whole, 30)


def test_the_surprise_curriculum_draws_what_is_predicted_worst_more_often_and_starves_nothing():
    source = stream(curriculum="surprise", floor=0.4)
    for _ in range(300):
        for name in KNOWN:
            source.report(name, 1.0 if name == "notes.write" else 0.0)
    drawn = Counter(source.next().template for _ in range(4000))
    # 0.4 dealt evenly, 0.6 by surprise, which is all with one template.
    assert drawn["notes.write"] / 4000 == pytest.approx(0.1 + 0.6, abs=0.03)
    for name in set(KNOWN) - {"notes.write"}:
        assert drawn[name] / 4000 == pytest.approx(0.1, abs=0.02)


def test_surprise_counts_without_its_sign_and_forgets():
    source = stream(curriculum="surprise")
    source.report("shop.buy", -1.0)
    assert source.state_dict()["surprise"]["shop.buy"] == 1.0
    source.report("shop.buy", 0.0)
    assert source.state_dict()["surprise"]["shop.buy"] == pytest.approx(0.95)
    source.report("unknown.template", 1.0)
    assert "unknown.template" not in source.state_dict()["surprise"]


def test_a_stream_without_surprises_left_deals_evenly():
    source = stream(curriculum="surprise", floor=0.0)
    state = source.state_dict()
    source.load_state_dict({**state, "surprise": dict.fromkeys(KNOWN, 0.0)})
    assert sorted(source.next().template for _ in range(4)) == sorted(KNOWN)


def test_a_stream_needs_a_template():
    with pytest.raises(TaskError, match="at least one template"):
        TaskStream(Suite(), (), seed=0)
