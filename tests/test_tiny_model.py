"""The tiny policy's own parts: tokens that copy exactly, features that match words, pixels, and what it can learn."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_inputs import make_screen, make_steps, make_words

from distrl.policy.tiny.create import create_tiny_policy
from distrl.policy.tiny.matching import TextReader, longest_run, plain_words
from distrl.policy.tiny.modeling import TinyCache
from distrl.policy.tiny.pixels import element_crops, whole_screen
from distrl.policy.tiny.processing import NUM_ELEMENT_FEATURES
from distrl.policy.tiny.tokenizer import build_tokenizer, byte_level
from distrl.types import Element, Frame, Observation, PolicyInput

TOKENIZER = build_tokenizer(["milk", "bread and milk", "Ann", "07:30", "Send"])
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def ids(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False).input_ids


def pieces(text: str) -> list[str]:
    return [TOKENIZER.decode([token]) for token in ids(text)]


def step(instruction: str, labels: list[str], **kwargs) -> PolicyInput:
    return PolicyInput(instruction, make_screen(labels), **kwargs)


# --- tokens ---


@pytest.mark.parametrize(
    "text",
    [
        "tap 7", "long_press 999", "tap 123 456", 'type "milk"', 'type ""', 'type " milk "', 'type "a  b\\n\\"c\\""',
        "scroll up", "home", "", " ", "  tap 7", "tap  7\n", 'type "日本 \U0001f600 a\u0301 \u202e"', "<|end|><|pad|>",
        'Type "x"', 'type "', 'type "7:30, 555-0134 a_b $9.99"', 'x type "y"', '\ntype "y"',
    ],
)  # fmt: skip
def test_decoding_gives_the_text_back(text):
    assert TOKENIZER.decode(ids(text), skip_special_tokens=True) == text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["", 'type "', 'type " ', "tap ", " "]))
def test_decoding_gives_any_text_back(text, prefix):
    assert TOKENIZER.decode(ids(prefix + text), skip_special_tokens=True) == prefix + text


def test_actions_are_short():
    lengths = {text: len(ids(text)) for text in ("tap 7", "long_press 25", "scroll left", "done", 'type "milk"')}
    assert lengths == {"tap 7": 2, "long_press 25": 2, "scroll left": 1, "done": 1, 'type "milk"': 3}


def test_special_tokens_cannot_be_written_by_text():
    assert not set(ids('type "<|end|>"')) & set(TOKENIZER.all_special_ids)


def test_the_order_of_words_does_not_matter():
    words = make_words(0, 300)
    assert build_tokenizer(words).get_vocab() == build_tokenizer(words[::-1]).get_vocab()


@pytest.mark.parametrize(
    ("instruction", "typed"),
    [
        ('Write "milk and bread" now.', "milk and bread"),
        ("Send milk to Ann.", "milk"),
        ("Set it to 07:30, please", "07:30"),
        ("Call 555-0134.", "555-0134"),
        ("Write 'Ann zqx' there", "Ann zqx"),
        ('"Ann" is the name', "Ann"),
    ],
)
def test_typed_words_have_the_tokens_they_have_in_the_instruction(instruction, typed):
    processor = create_tiny_policy(["milk", "bread", "and", "Ann"], **SMALL).processor
    source = processor.encode(step(instruction, [])).instruction_ids.tolist()
    wanted = processor.tokenizer(f'type "{typed}"', add_special_tokens=False).input_ids[1:-1]
    assert any(source[at : at + len(wanted)] == wanted for at in range(len(source)))


def test_minutes_can_be_copied_on_their_own():
    """In the instruction they follow a colon, typed they follow a space: the twin token says the second."""
    processor = create_tiny_policy(["Wake me at"], **SMALL).processor
    arrays = processor.encode(step("Wake me at 06:55", []))
    source, twins = arrays.instruction_ids.tolist(), arrays.instruction_twins.tolist()
    typed = processor.tokenizer('type "55"', add_special_tokens=False).input_ids[1]
    assert typed not in source
    assert twins[5] == typed
    assert twins[4] == 0
    with torch.no_grad():
        policy = create_tiny_policy(["Wake me at"], **SMALL)
        policy.model.word_bias.fill_(-20.0)
        batch = processor([step("Wake me at 06:55", [])])
        likeliest = policy.model(**batch).logits[0, 0].topk(8).indices.tolist()
    assert {typed, source[5]} <= set(likeliest)


# --- matching ---


def reader() -> TextReader:
    return TextReader(lambda chunk: (len(chunk),))


def test_words_are_compared_without_case_zeros_and_plural():
    assert plain_words("Messages, 07:05 PRESS Ann's bus") == ("message", "7", "5", "press", "ann", "s", "bus")


def test_longest_run_is_in_order():
    assert longest_run(("a", "b", "c", "a", "b"), ("b", "c", "d")) == 2
    assert longest_run(("a", "b"), ("b", "a")) == 1
    assert longest_run((), ("a",)) == 0


def test_match_features_by_hand():
    match = reader().match('Send "two apples" to Ann Lee.', "Ann Lee, 12")
    assert match.links.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0]
    np.testing.assert_allclose(match.features, [2 / 3, 2 / 5, 2 / 5, 0, 0, 0, 0], rtol=1e-6)
    quoted = reader().match('Send "two apples" to Ann Lee.', "Two apple")
    np.testing.assert_allclose(quoted.features, [1, 2 / 5, 2 / 5, 1, 1, 0, 0], rtol=1e-6)
    number = reader().match("Set 07:30", "7")
    np.testing.assert_allclose(number.features, [1, 1 / 5, 1 / 5, 1, 0, 1, 0], rtol=1e-6)
    cut = reader().match("Every Friday", "Fri")
    assert cut.links.tolist() == [0, 1]
    np.testing.assert_allclose(cut.features, [0, 0, 0, 0, 0, 0, 1])
    assert not reader().match("Open it", "").features.any()
    assert not reader().match("To Al", "Also 12 total").links.any()


def test_quotes_are_marked():
    view = reader().read("Say \"a b\" or 'c', Bob's.")
    inside = [word for word, flags in zip(view.token_words, view.flags, strict=True) if flags[0]]
    assert inside == ["a", "b", "c"]
    assert view.quotes == {("a", "b"), ("c",)}


def test_element_features_relate_rows_containers_and_rivals():
    processor = create_tiny_policy(["Turn Ann Lee on"], **SMALL).processor
    elements = (
        Element(0, "LinearLayout", (0, 0, 90, 40)),
        Element(1, "TextView", (0, 4, 40, 12), text="Ann Lee"),
        Element(2, "Switch", (50, 4, 80, 12), checked=True),
        Element(3, "TextView", (0, 60, 40, 68), text="Ann"),
    )
    screen = Observation(Frame(np.zeros((200, 90, 3), np.uint8)), elements)
    arrays = processor.encode(PolicyInput("Turn Ann Lee on", screen))
    features = arrays.element_features[:, -7:].astype(np.float32)
    same_row, inside, container, rarity, share, most, longest = features.T
    assert arrays.element_features.shape == (4, NUM_ELEMENT_FEATURES)
    assert same_row.tolist() == [0, 1, 1, 1]
    assert inside.tolist() == [1, 0, 0, 0]
    assert container.tolist() == [0, 0, 0, 0]
    assert rarity.tolist() == [0, 1, 0, 0.5]
    assert share.tolist() == [0, 0.5, 0, 0.25]
    assert most.tolist() == longest.tolist() == [0, 1, 0, 0]


def test_instruction_features_say_where_words_show():
    processor = create_tiny_policy(["Tell Ann Lee milk 2"], **SMALL).processor
    elements = (
        Element(0, "EditText", (0, 0, 90, 10), text="milk", editable=True, focused=True),
        Element(1, "Chip", (0, 20, 90, 30), text="Ann Lee", selected=True),
        Element(2, "Chip", (0, 40, 90, 50), text="Ann"),
    )
    screen = Observation(Frame(np.zeros((200, 90, 3), np.uint8)), elements)
    seen = PolicyInput("Tell Ann Lee milk 2", screen, ('type "milk"', "tap 2"))
    shown, few, field, focused, marked, typed, before, after = processor.encode(seen).instruction_features[:, 3:].T
    assert shown.tolist() == [0, 1, 1, 1, 0]
    assert few.tolist() == [1, 0.5, 1, 1, 1]
    assert field.tolist() == focused.tolist() == typed.tolist() == [0, 0, 0, 1, 0]
    assert marked.tolist() == [0, 1, 1, 0, 0]
    assert before.tolist() == [0, 0, 1, 0, 0]
    assert after.tolist() == [0, 1, 0, 0, 0]


def test_of_too_many_elements_those_that_matter_stay_with_their_own_numbers():
    processor = create_tiny_policy(["Ann"], max_elements=3, **SMALL).processor
    elements = [Element(i, "TextView", (0, i, 9, i + 1), text="x" if i % 2 else "") for i in range(10)]
    elements[8] = Element(8, "TextView", (0, 8, 9, 9), text="Ann")
    elements[9] = Element(9, "Button", (0, 9, 9, 10), clickable=True)
    screen = Observation(Frame(np.zeros((20, 9, 3), np.uint8)), tuple(elements))
    kept = processor.encode(PolicyInput("Open Ann", screen)).element_numbers
    assert [processor.tokenizer.decode([number]) for number in kept] == ["1", "8", "9"]


def test_a_batch_holds_every_array_of_every_step_and_pads_the_rest():
    processor = create_tiny_policy(["Open Ann"], **SMALL).processor
    steps = [step("Open Ann", ["Ann", "x"]), step("Open Ann Lee 07:30 now", ["Lee"], history=("tap 1", "back"))]
    arrays = [processor.encode(one) for one in steps]
    batch = processor.collate(arrays)
    for row, one in enumerate(arrays):
        for field in dataclasses.fields(one):
            expected, padded = getattr(one, field.name), batch[field.name][row].numpy()
            inside = tuple(slice(size) for size in expected.shape)
            np.testing.assert_array_equal(padded[inside], expected)
            assert padded.astype(np.float64).sum() == expected.astype(np.float64).sum(), "the rest is zero"
        for part in ("instruction", "element", "context"):
            assert batch[f"{part}_mask"][row].sum() == len(getattr(one, f"{part}_ids"))


# --- pixels ---


def test_crops_show_the_start_and_the_middle_of_a_box():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:20, 0:10] = (200, 0, 0)
    pixels[10:20, 25:35] = (0, 100, 0)
    crop = element_crops(pixels, np.array([[0, 10, 60, 20], [25, 10, 35, 20]], np.float32), 4)
    assert crop.shape == (2, 4, 8, 3)
    assert (crop[0, :, :4] == (200, 0, 0)).all()
    assert (crop[0, :, 4:] == (0, 100, 0)).all()
    assert (crop[1] == (0, 100, 0)).all()


def test_a_crop_averages_stripes():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, ::2] = 100
    crop = element_crops(pixels, np.array([[0, 0, 8, 8]], np.float32), 4)
    assert (crop == 50).all()


def test_boxes_off_the_screen_repeat_its_edge():
    pixels = np.full((8, 8, 3), 7, np.uint8)
    assert (element_crops(pixels, np.array([[-90, -90, 900, 900]], np.float32), 4) == 7).all()


def test_the_whole_screen_keeps_its_layout():
    pixels = np.zeros((100, 50, 3), np.uint8)
    pixels[50:, :25] = 90
    small = whole_screen(pixels, 4, 8)
    assert small.shape == (8, 4, 3)
    assert (small[4:, :2] == 90).all()
    assert small[:4].max() == small[:, 2:].max() == 0
    assert whole_screen(small, 4, 8) is small


@pytest.mark.parametrize(("screenshot", "expected"), [(True, False), (False, True)])
def test_without_the_screenshot_pixels_change_nothing(screenshot, expected):
    policy = create_tiny_policy(["a"], screenshot=screenshot, **SMALL)
    screens = [make_screen(["a", "b"], seed=seed) for seed in (0, 1)]
    first, second = (policy.act([PolicyInput("Open a", screen)], temperature=0)[0] for screen in screens)
    assert (first.log_prob == second.log_prob) is expected


def test_without_the_ui_tree_elements_change_nothing():
    policy = create_tiny_policy(["a"], ui_tree=False, **SMALL)
    assert policy.model.config.num_patches == 180
    screens = [make_screen(["a", "b"]), make_screen(["c"])]
    screens.append(Observation(screens[0].frame, None, "clock"))
    decisions = [policy.act([PolicyInput("Open a", screen)], temperature=0)[0] for screen in screens]
    assert len({decision.log_prob for decision in decisions}) == 1


# --- what it says and learns ---


def test_all_ways_of_saying_a_token_add_up():
    """Each pointer and copy adds its own share to its token's, also where several say the same token."""
    policy = create_tiny_policy(["a", "b"], **SMALL)
    batch = policy.processor([step("Open a a b", ["a", "b a", "a"])])
    home = policy.processor.tokenizer.convert_tokens_to_ids("Ġhome")
    with torch.no_grad():
        screen = policy.model.encode_screen(batch)

    def shares(mask: torch.Tensor) -> torch.Tensor:
        cache = TinyCache()
        cache.screen = dataclasses.replace(screen, candidate_mask=mask)
        with torch.no_grad():
            said = policy.model(input_ids=batch["input_ids"], past_key_values=cache).logits[0, 0].double().exp()
        return said / said[home]

    everything, nothing = screen.candidate_mask, torch.zeros_like(screen.candidate_mask)
    alone = shares(nothing)
    expected = alone.clone()
    for place in everything[0].nonzero().flatten().tolist():
        only = nothing.clone()
        only[0, place] = True
        gained = shares(only) - alone
        assert gained.gt(1e-5).nonzero().flatten().tolist() == [screen.candidate_ids[0, place].item()]
        expected += gained
    torch.testing.assert_close(shares(everything), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("instruction", "labels", "written", "follows"),
    [
        ('Write "milk and bread" now', [], "milk", " and"),
        ("Ring at 06:55 sharp", [], "55", " sharp"),
        ("Write a b a c", [], "a c", None),
        ("Write a b x a c", [], "x a", " c"),
        ("Send it", ["Code milk bread"], "milk", " bread"),
        ("Send it", ["milk", "bread"], "milk", None),
    ],
)
def test_copying_goes_on_where_it_was(instruction, labels, written, follows):
    policy = create_tiny_policy(["milk and bread", "Ring at sharp", "Write a b c x", "Send it Code"], **SMALL)
    tokenizer = policy.processor.tokenizer
    with torch.no_grad():
        policy.model.word_bias.fill_(-20.0)
        policy.model.copying.weight.zero_()
        policy.model.copying.bias[:4] = 20.0
        batch = policy.processor([step(instruction, labels)])
        ids = tokenizer(f'type "{written}"', add_special_tokens=False).input_ids[:-1]
        written_ids = torch.tensor([[tokenizer.bos_token_id, *ids]])
        probs = policy.model(**{**batch, "input_ids": written_ids}).logits[0, -1].softmax(-1)
    if follows is None:
        assert probs.max() < 0.9
    else:
        assert tokenizer.convert_ids_to_tokens(int(probs.argmax())) == byte_level(follows)


def train(policy, steps, *, num_updates: int, seed: int = 0) -> None:
    encoded = [policy.encode(seen, policy.decision_for(text)) for seen, text in steps]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    rng = random.Random(seed)
    for _ in range(num_updates):
        loss = policy.supervised_loss(policy.collate(rng.sample(encoded, 24)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(policy.parameters()), 1.0)
        optimizer.step()


def test_it_learns_to_point_and_copy_words_it_has_never_seen():
    words = make_words(1, 400)
    seen, unseen = words[:300], words[300:]
    policy = create_tiny_policy(words, seed=0, **SMALL)
    train(policy, make_steps(0, seen, 400), num_updates=120)
    held_out = make_steps(7, unseen, 120)
    decisions = policy.act([seen_step for seen_step, _ in held_out], temperature=0)
    correct = [d.text == text for d, (_, text) in zip(decisions, held_out, strict=True)]
    assert np.mean(correct) > 0.9


def test_it_tells_unlabelled_elements_apart_by_their_pixels():
    colors = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30), "white": (250, 250, 250)}
    rng = random.Random(0)

    def swatches() -> tuple[PolicyInput, str]:
        names = rng.sample(list(colors), 4)
        pixels = np.zeros((200, 90, 3), np.uint8)
        for place, name in enumerate(names):
            pixels[4 + 16 * place : 2 + 16 * (place + 1)] = colors[name]
        wanted = rng.randrange(4)
        return PolicyInput(f"Choose {names[wanted]}", make_screen([""] * 4, pixels=pixels)), f"tap {wanted}"

    policy = create_tiny_policy(colors, seed=0, **SMALL)
    train(policy, [swatches() for _ in range(200)], num_updates=100)
    test = [swatches() for _ in range(60)]
    decisions = policy.act([seen for seen, _ in test], temperature=0)
    assert np.mean([d.text == text for d, (_, text) in zip(decisions, test, strict=True)]) > 0.9
