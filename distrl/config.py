"""Every setting of a run: one model per part, strict, with its unit and range under each field.

`distrl.config_file` reads them from YAML. Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class Settings(BaseModel):
    """Base of every model here: strict about keys, frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FaultsConfig(Settings):
    """How often the simulated phone misbehaves, as a probability per step (per reset for `slow_reset`)."""

    hang: Fraction = 0.0
    """The call never returns; its deadline ends it."""
    crash: Fraction = 0.0
    """The phone is lost until it is recovered."""
    offline: Fraction = 0.0
    """The phone is unreachable for a while."""
    blank_frame: Fraction = 0.0
    """The screenshot comes back blank; the device refuses it as an observation."""
    stale_frame: Fraction = 0.0
    """The screenshot is the previous one."""
    lost_tap: Fraction = 0.0
    """The action is not carried out, silently."""
    slow_reset: Fraction = 0.0
    """A reset takes ten times as long."""


class SimDeviceConfig(Settings):
    """The simulated phone."""

    kind: Literal["sim"] = "sim"
    screen: tuple[int, int] = (180, 400)
    """Width and height in pixels, drawn natively. 540x1200 is a phone's; 180x400 is what the small model reads."""
    latency: Literal["instant", "stream", "emulator"] = "instant"
    """Named latency profile (docs/simulated-phone.md); parametrised from published figures, not measured."""
    latency_scale: Annotated[float, Field(ge=0.0)] = 1.0
    """Multiplies every latency; 0.01 makes an hour of emulator time half a minute."""
    faults: FaultsConfig = FaultsConfig()
    distractor_rate: Fraction = 0.0
    """Share of episodes with a distractor: a permission dialog, an update popup, a notification."""


class BrowserDeviceConfig(Settings):
    """MiniWoB++ pages in a real Chromium; needs `pip install distrl[miniwob]` and scripts/install-browser."""

    kind: Literal["browser"] = "browser"
    episode_time_limit_s: Annotated[float, Field(gt=0.0, le=2_000_000.0)] = 3600.0
    """MiniWoB's own episode timer; its default of 10 s fails slow policies."""
    scale: Annotated[int, Field(ge=1, le=4)] = 1
    """Screen pixels per page pixel: 1 shows a page at 160x210, 4 at 640x840, drawn sharp and not enlarged."""
    success_above: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """A raw reward above this is success; 0.99 demands everything right on pages that give partial credit."""
    chromium: Path | None = None
    """The Chromium program; found on the PATH when not set."""
    chromedriver: Path | None = None
    """Its driver, of the same version; found on the PATH when not set."""


DeviceConfig = Annotated[SimDeviceConfig | BrowserDeviceConfig, Field(discriminator="kind")]


class DeadlinesConfig(Settings):
    """How long one device call may take, in seconds, before the device counts as hung."""

    reset_s: PositiveFloat = 120.0
    """Setting a task up."""
    observe_s: PositiveFloat = 30.0
    """A screenshot with its UI tree."""
    act_s: PositiveFloat = 30.0
    """One touch, text or key, and its settling."""
    check_s: PositiveFloat = 30.0
    """Judging the present state."""
    recover_s: PositiveFloat = 300.0
    """A restart."""


class TasksConfig(Settings):
    """Which tasks are trained on."""

    templates: tuple[str, ...] = ()
    """Template names; empty means every template of the training split. A browser has its own eight."""
    file: Path | None = None
    """A task-set file: one template name per line, in place of `templates`."""
    levels: tuple[int, ...] = (1, 2, 3)
    """Levels used: 1 single screen, 2 one app, 3 cross-app or constrained."""
    curriculum: Literal["uniform", "surprise"] = "uniform"
    """`surprise` draws templates whose outcomes the trajectory value predicts worst more often."""
    curriculum_floor: Fraction = 0.3
    """Share of draws that stays uniform, so that no template starves."""


class PolicyConfig(Settings):
    """The model that acts."""

    path: str = "tiny"
    """`tiny` creates the small default from its seed; otherwise the folder of a saved policy."""
    actions: Literal["element", "pixel", "aitw", "mobile_use", "mobile_use_999", "ui_tars", "android_world"] = "element"
    """Action format (docs/actions.md): elements of the UI tree, points in 0-999, or what a family of models writes."""
    screenshot: bool = True
    """Whether the screenshot is shown to the model; false is an ablation."""
    ui_tree: bool = True
    """Whether the UI tree is shown to the model; false is the pixel-only setting."""
    history_length: Annotated[int, Field(ge=0, le=32)] = 4
    """How many of its own last actions the model sees."""
    max_action_tokens: Annotated[int, Field(ge=2, le=512)] = 24
    """An action longer than this is cut, and most likely unparsable."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature while collecting; recorded with each step and used when recomputing."""


class WorkersConfig(Settings):
    """The phones and the loop that drives them."""

    num_devices: Annotated[int, Field(ge=1, le=4096)] = 16
    """Phones of the one worker in this process."""
    max_batch: Annotated[int, Field(ge=1)] = 64
    """Largest number of phones decided for in one policy call."""
    batch_wait_s: Annotated[float, Field(ge=0.0)] = 0.0
    """How long a policy call waits for more phones to join: few large calls cost less than many small ones."""
    deadlines: DeadlinesConfig = DeadlinesConfig()
    max_recoveries: Annotated[int, Field(ge=1)] = 3
    """Recoveries in a row that may fail before a phone is quarantined."""
    recovery_backoff_s: Annotated[float, Field(ge=0.0)] = 1.0
    """Wait before the second recovery in a row; doubles each time."""
    inbox_capacity: Annotated[int, Field(ge=1)] = 64
    """Finished episodes that may wait for the learner; a full inbox is the only thing that makes phones wait."""


class PenaltiesConfig(Settings):
    """Rewards for bad manners, each <= 0; logged one by one, off for evaluation."""

    invalid: Annotated[float, Field(le=0.0)] = -1.0
    """The text is no action: unparsable, off the screen, types nothing."""
    repetition: Annotated[float, Field(le=0.0)] = -0.4
    """The last valid action again on an unchanged screen; accumulates."""


class ReplayConfig(Settings):
    """DPER: trajectory-level prioritised replay."""

    capacity: Annotated[int, Field(ge=1)] = 20_000
    """Trajectories kept for sampling; the oldest leave first."""
    prioritised: bool = True
    """False samples uniformly: the paper's ablation."""
    alpha: Fraction = 0.5
    """P(tau) ~ p(tau)^alpha."""
    w_td: Annotated[float, Field(ge=0.0)] = 1.0
    """w1: weight of the mean absolute TD error."""
    w_ratio: Annotated[float, Field(ge=0.0)] = 0.5
    """w2: weight of the mean clipped importance ratio."""
    w_entropy: Annotated[float, Field(ge=0.0)] = 0.5
    """w3: weight of the mean policy entropy."""
    beta_is: Fraction = 0.0
    """Exponent of the importance weights (N P)^-beta / max; 0 turns them off."""
    replay_ratio: PositiveFloat = 1.0
    """How often each collected step is trained on, on average; the learner waits when it is ahead."""
    min_trajectories: Annotated[int, Field(ge=1)] = 64
    """Trajectories needed before the first update."""
    max_uses: Annotated[int, Field(ge=1)] = 8
    """How often one trajectory may be sampled."""
    max_age_versions: Annotated[int, Field(ge=1)] = 2_000
    """How many policy versions old a sampled trajectory may be."""
    success_share: Fraction = 0.25
    """Least share of each batch that comes from successes, when there are any."""
    balance_templates: bool = False
    """Draws a template's successes as often as their mean priority says, however few there are: rare ones count."""
    refresh_share: Fraction = 0.0
    """Share of each batch that refreshes the stalest priorities."""


class CriticConfig(Settings):
    """Step value and trajectory value."""

    target: Literal["retrace", "monte_carlo"] = "retrace"
    """What the step value is trained towards: the off-policy target as a soft label, or the outcome."""
    coefficient: Annotated[float, Field(ge=0.0)] = 0.5
    """Weight of the value losses."""
    detach: bool = False
    """Whether the value losses stop at the heads instead of shaping the policy's encoder."""


class AlgorithmConfig(Settings):
    """A-RIDE and its baselines (docs/algorithm.md)."""

    name: Literal["a_ride", "filtered_bc", "digirl"] = "a_ride"
    """`filtered_bc` and `digirl` are the baselines, on the same data path."""
    mode: Literal["async", "sync"] = "async"
    """`sync`: every phone finishes its episode before the next update."""
    returns: Literal["retrace", "vtrace", "td", "monte_carlo"] = "retrace"
    """Estimator of advantages and value targets; the others are ablations."""
    policy_loss: Literal["retrace_pg", "ppo_clip", "decoupled_ppo", "awr"] = "retrace_pg"
    """Objective of the policy."""
    time_limit: Literal["bootstrap", "failure"] = "bootstrap"
    """What follows when the step budget runs out: the value of the last screen, or nothing, as after a failure."""
    gamma: Fraction = 0.95
    """Discount per step."""
    trace_lambda: Fraction = 0.95
    """lambda of Retrace."""
    rho_max: PositiveFloat = 2.0
    """Truncation of the importance ratio in the policy loss and in the priority."""
    clip_epsilon: PositiveFloat = 0.2
    """Clip range of `ppo_clip` and `decoupled_ppo`."""
    awr_temperature: PositiveFloat = 0.5
    """Temperature of `awr`."""
    proximal_every: Annotated[int, Field(ge=1)] = 8
    """`decoupled_ppo` only: updates between refreshes of the proximal policy."""
    entropy_beta: Annotated[float, Field(ge=0.0)] = 0.005
    """beta: weight of the entropy of the current policy."""
    invalid_eta: Annotated[float, Field(ge=0.0)] = 0.1
    """eta: weight of the term that makes invalid actions less likely."""
    penalties: PenaltiesConfig = PenaltiesConfig()
    filter_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of trajectories the baselines keep."""


class LearnerConfig(Settings):
    """The update loop."""

    num_updates: Annotated[int, Field(ge=1)] = 1_000
    """Updates in all; one policy version each."""
    max_minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Wall-clock limit of training in minutes; the run ends in good order at whichever comes first."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Trajectories per update."""
    micro_batch_steps: Annotated[int, Field(ge=1)] = 64
    """Steps per forward and backward pass."""
    keep_graphs: bool = True
    """Whether all micro-batches stay in memory between the two passes; false computes the first one twice instead."""
    learning_rate: PositiveFloat = 3e-4
    """Of the policy, at its highest."""
    value_learning_rate: PositiveFloat = 1e-3
    """Of the value heads, at its highest."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Decoupled weight decay of AdamW."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients of policy and of value heads are each clipped to this norm."""
    warmup_updates: Annotated[int, Field(ge=0)] = 20
    """Updates over which the learning rates rise from 0."""
    final_learning_rate: Fraction = 0.1
    """Share of the learning rate left at the last update; falls linearly."""
    critic_warmup_updates: Annotated[int, Field(ge=0)] = 10
    """First updates that train the value heads only."""
    publish_every: Annotated[int, Field(ge=1)] = 1
    """Updates between published versions."""
    max_policy_age: Annotated[int, Field(ge=1)] = 64
    """Bound on the age, in versions, of a step when first consumed; kept by pacing the start of episodes."""
    mismatch_tolerance: PositiveFloat = 1e-4
    """Largest difference allowed between recorded and recomputed log-probabilities at equal weights, per token."""
    mismatch_check_every: Annotated[int, Field(ge=0)] = 200
    """Updates between such checks; 0 checks only at the start."""
    encoding_cache_mb: Annotated[int, Field(ge=1)] = 256
    """Memory for encoded steps, so that a replayed step is not encoded twice."""


class EvaluationConfig(Settings):
    """Success on fixed tasks, greedy, penalties off."""

    every_updates: Annotated[int, Field(ge=0)] = 100
    """Updates between evaluations while training; 0 turns them off."""
    split: Literal["train", "held_out_params", "held_out_templates", "held_out_app"] = "held_out_params"
    """Split of the periodic evaluation, which also picks the best checkpoint."""
    num_episodes: Annotated[int, Field(ge=1)] = 128
    """Episodes per periodic evaluation."""
    final_episodes: Annotated[int, Field(ge=0)] = 256
    """Episodes per split before and after training; 0 skips both."""
    final_splits: tuple[Literal["train", "held_out_params", "held_out_templates", "held_out_app"], ...] = (
        "held_out_params",
        "held_out_templates",
        "held_out_app",
    )
    """Splits of the evaluations before and after training."""
    num_devices: Annotated[int, Field(ge=1)] = 8
    """Phones of the evaluator, apart from the worker's."""
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """0 is greedy."""


class CheckpointConfig(Settings):
    """The whole state, atomically."""

    every_updates: Annotated[int, Field(ge=1)] = 200
    """Updates between checkpoints."""
    keep_last: Annotated[int, Field(ge=1)] = 2
    """Newest checkpoints kept, besides the best."""


class StoreConfig(Settings):
    """Every episode on disk the moment it ends."""

    max_frames_mb: Annotated[int, Field(ge=1)] = 2_048
    """Disk for screenshots; the oldest leave first, their episodes stay."""
    cache_mb: Annotated[int, Field(ge=1)] = 128
    """Memory for decoded screenshots."""


class SftConfig(Settings):
    """Cloning demonstrations of the scripted oracles."""

    demos_per_template: Annotated[int, Field(ge=1)] = 8
    """Demonstrations per training template."""
    epochs: PositiveFloat = 4.0
    """Passes over the demonstrations."""
    batch_steps: Annotated[int, Field(ge=1)] = 32
    """Steps per update."""
    learning_rate: PositiveFloat = 1e-3
    """At its highest; falls linearly to a tenth."""
    detour_rate: Fraction = 0.1
    """Chance per step that the demonstrator first errs and then recovers; the wrong step itself is not cloned."""


class RunConfig(Settings):
    """One run, whole."""

    seed: int = 0
    """Of everything random: new policies, sampling, task order, replay, devices."""
    device: DeviceConfig = SimDeviceConfig()
    tasks: TasksConfig = TasksConfig()
    policy: PolicyConfig = PolicyConfig()
    workers: WorkersConfig = WorkersConfig()
    replay: ReplayConfig = ReplayConfig()
    critic: CriticConfig = CriticConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    learner: LearnerConfig = LearnerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    store: StoreConfig = StoreConfig()
    sft: SftConfig = SftConfig()

    @model_validator(mode="before")
    @classmethod
    def _the_simulated_phone_is_the_default(cls, raw: Any) -> Any:
        """So that `device.latency=stream` works without saying the kind."""
        if isinstance(raw, dict) and isinstance(raw.get("device"), dict) and "kind" not in raw["device"]:
            return {**raw, "device": {"kind": "sim", **raw["device"]}}
        return raw

    @model_validator(mode="after")
    def _combinations_make_sense(self) -> RunConfig:
        rules = [
            (
                self.policy.screenshot or self.policy.ui_tree,
                "policy.screenshot and policy.ui_tree are both false: the model would see nothing; set one to true",
            ),
            (
                self.policy.ui_tree or self.policy.actions != "element",
                "policy.actions is `element` while policy.ui_tree is false: the model cannot name what it does not "
                "see; set policy.actions to `pixel`",
            ),
            (
                not (self.tasks.file and self.tasks.templates),
                "tasks.file and tasks.templates both say which tasks to train on; keep one",
            ),
            (
                self.replay.min_trajectories <= self.replay.capacity,
                f"replay.min_trajectories ({self.replay.min_trajectories}) exceeds replay.capacity "
                f"({self.replay.capacity}): the first update would never come; lower the first",
            ),
            (
                self.learner.batch_size <= self.replay.capacity,
                f"learner.batch_size ({self.learner.batch_size}) exceeds replay.capacity ({self.replay.capacity})",
            ),
            (
                self.algorithm.mode == "async" or self.replay.min_trajectories <= self.workers.num_devices,
                f"algorithm.mode is `sync` with replay.min_trajectories ({self.replay.min_trajectories}) above "
                f"workers.num_devices ({self.workers.num_devices}): the first round could not start an update; "
                "lower replay.min_trajectories",
            ),
            (
                self.replay.w_td + self.replay.w_ratio + self.replay.w_entropy > 0,
                "replay.w_td, w_ratio and w_entropy are all 0: every priority would be 0; set replay.prioritised "
                "to false for uniform replay",
            ),
        ]
        for holds, message in rules:
            if not holds:
                raise ValueError(message)
        return self
