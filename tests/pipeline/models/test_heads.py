import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from pairsieve.pipeline.models import heads
from pairsieve.schemas.errors import BadOption

# By hand, of (3, 4), which is (0.6, 0.8) at length 1: 2 * 0.6 - 1 * 0.8 + 0.5 = 0.9.
WEIGHT = np.array([[2, -1]], np.float32)
BIAS = np.array([0.5], np.float32)
VECTOR = np.array([[3, 4]], np.float32)


def floats(values: list[Any]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def saved(path: Path, **arrays: NDArray[np.float32]) -> str:
    """Write arrays in the format of the path's suffix; return the path."""
    named = {name.replace("__", "."): array for name, array in arrays.items()}
    if path.suffix == ".safetensors":
        save_file(named, path)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in named.items()}, path)
    return str(path)


def load(value: str, activation: str = "relu") -> heads.Head:
    return heads.load("embed.scores.nsfw.head", value, activation)


def refusal(value: str) -> str:
    with pytest.raises(BadOption) as refused:
        load(value)
    return str(refused.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_linear_head_sees_vectors_of_length_1(tmp_path: Path, suffix: str) -> None:
    head = load(saved(tmp_path / f"head{suffix}", weight=WEIGHT, bias=BIAS))
    assert (head.width, head.output_count, head.compares) == (2, 1, False)
    assert head.outputs(VECTOR).tolist() == [[pytest.approx(0.9)]]


def test_a_matrix_alone_is_prompt_vectors_that_are_compared(tmp_path: Path) -> None:
    np.save(tmp_path / "prompts.npy", np.array([[2, 0], [0, 5]], np.float32))
    head = load(str(tmp_path / "prompts.npy"))
    assert head.compares
    assert head.outputs(VECTOR).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]


@pytest.mark.parametrize(("activation", "expected"), [("relu", 1.2), ("none", 0.4)])
def test_the_layers_of_an_mlp_follow_their_numbers(
    tmp_path: Path, activation: str, expected: float
) -> None:
    # By hand: (0.6, 0.8) -> (0.6, -0.8) -> 2 * 0.6 + 1 * -0.8, of which relu leaves 2 * 0.6.
    layers = {
        "layer_10__weight": np.array([[2, 1]], np.float32),
        "layer_2__weight": np.array([[1, 0], [0, -1]], np.float32),
    }
    head = load(saved(tmp_path / "mlp.safetensors", **layers), activation)
    assert head.outputs(VECTOR).tolist() == [[pytest.approx(expected)]]


def test_a_normalisation_comes_first(tmp_path: Path) -> None:
    # By hand: ((0.6, 0.8) - (0.1, 0)) / sqrt((0.25, 0.04)) = (1, 4); 2 * 1 - 4 + 0.5 = -1.5.
    arrays = {"norm__mean": floats([0.1, 0]), "norm__variance": floats([0.25, 0.04])}
    path = saved(tmp_path / "h.pth", **arrays, weight=WEIGHT, bias=BIAS)
    assert load(path).outputs(VECTOR).tolist() == [[pytest.approx(-1.5, abs=1e-6)]]


def test_an_input_that_autokeras_took_for_a_category_is_the_same_for_all(tmp_path: Path) -> None:
    # A variance of 100 cannot be that of a component: the input becomes 1, then (1 - 11) / 10.
    arrays = {"norm__mean": floats([11, 0]), "norm__variance": floats([100, 1])}
    head = load(saved(tmp_path / "h.pth", **arrays, weight=floats([[1, 0]]), bias=BIAS))
    assert head.outputs(floats([[3, 4], [-5, 1]])).tolist() == [[-0.5], [-0.5]]


def test_a_row_is_answered_alike_in_any_company(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    layers = {
        "a1__weight": random.normal(size=(64, 96)).astype(np.float32),
        "a1__bias": random.normal(size=64).astype(np.float32),
        "a2__weight": random.normal(size=(3, 64)).astype(np.float32),
    }
    head = load(saved(tmp_path / "h.pth", **layers))
    vectors = random.normal(size=(50, 96)).astype(np.float32)
    parts = np.concatenate([head.outputs(vectors[:7]), head.outputs(vectors[7:])])
    assert np.array_equal(parts, head.outputs(vectors))
    assert head.outputs(vectors[:0]).shape == (0, 3)


def test_a_missing_file_is_named() -> None:
    message = refusal("/nowhere/head.pth")
    assert message == "embed.scores.nsfw.head: /nowhere/head.pth: no such file"


@pytest.mark.parametrize("name", ["head.pth", "head.npy", "head.safetensors"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    whole = tmp_path / f"whole{Path(name).suffix}"
    if whole.suffix == ".npy":
        np.save(whole, WEIGHT)
    else:
        saved(whole, weight=WEIGHT, bias=BIAS)
    (tmp_path / name).write_bytes(whole.read_bytes()[:-3])
    assert "not a file of arrays alone, or cut short" in refusal(str(tmp_path / name))


@pytest.mark.parametrize("name", ["attack.pth", "attack.npy"])
def test_code_in_a_file_is_refused_and_never_run(tmp_path: Path, name: str) -> None:
    attack = Attack(str(tmp_path / "harmed"))
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array([attack], object), allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(attack))
    assert "code in it is never run" in refusal(str(tmp_path / name))
    assert not (tmp_path / "harmed").exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 1), tmp_path / "module.pth")
    assert "not a file of arrays alone" in refusal(str(tmp_path / "module.pth"))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"bias": BIAS}, "not a linear head or an MLP; it holds bias (1,)"),
        ({"weight": WEIGHT, "gamma": BIAS}, "not a linear head"),
        ({"a1__weight": WEIGHT, "a2__weight": WEIGHT}, "its layers do not fit each other"),
        ({"weight": WEIGHT, "bias": floats([1, 2])}, "its layers do not fit each other"),
        ({"weight": floats([[np.nan, 1]])}, "values that are not numbers"),
        ({"weight": np.zeros((3, 3, 3), np.float32)}, "not a linear head"),
        (
            {"weight": WEIGHT, "norm__mean": BIAS, "norm__variance": BIAS},
            "its normalisation does not fit",
        ),
    ],
)
def test_what_is_no_head_is_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    assert words in refusal(saved(tmp_path / "head.pth", **arrays))


@pytest.fixture(scope="module")
def photographs(real: Path) -> NDArray[np.float32]:
    """Return the vectors of 100 everyday photographs, by OpenAI's ViT-B/32."""
    table = pq.read_table(real / "clip_vit_b32_openai" / "vectors.parquet")
    return np.stack(table["image_embedding"].to_numpy())[::5].astype(np.float32)


@pytest.mark.parametrize(
    ("name", "width", "outputs", "layers"),
    [
        ("clip_ViT-B-32_openai_binary_nsfw_head.pth", 512, 1, 3),
        ("clip_ViT-L-14_openai_binary_nsfw_head.pth", 768, 1, 4),
        ("sa_0_4_vit_b_32_linear.pth", 512, 1, 1),
        ("sa_0_4_vit_l_14_linear.pth", 768, 1, 1),
        ("violence_detection_vit_b_32.npy", 512, 2, 1),
        ("violence_detection_vit_l_14.npy", 768, 2, 1),
    ],
)
def test_published_heads_load_as_they_are(
    real: Path, name: str, width: int, outputs: int, layers: int
) -> None:
    head = load(str(real / "heads" / name))
    assert (head.width, head.output_count, len(head.layers)) == (width, outputs, layers)


def test_autokeras_inputs_are_those_that_laion_tells_of(real: Path) -> None:
    for name, coded in (
        ("clip_ViT-B-32_openai_binary_nsfw_head.pth", [92, 133, 312]),
        ("clip_ViT-L-14_openai_binary_nsfw_head.pth", [180, 316, 413, 440, 644]),
    ):
        deviation = load(str(real / "heads" / name)).deviation
        assert deviation is not None
        assert np.nonzero(deviation > 1)[0].tolist() == coded


def test_laions_nsfw_head_agrees_with_its_pytorch_port(
    real: Path, photographs: NDArray[np.float32]
) -> None:
    path = real / "heads" / "clip_ViT-B-32_openai_binary_nsfw_head.pth"
    state = torch.load(path, weights_only=True)
    layers = [torch.nn.Linear(512, 32), torch.nn.Linear(32, 32), torch.nn.Linear(32, 1)]
    for number, layer in enumerate(layers, 1):
        layer.load_state_dict({k: state[f"linear_{number}.{k}"] for k in ("weight", "bias")})
    first, second, third = layers
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(torch.from_numpy(photographs))
        scaled = (vectors - state["norm.mean"]) / state["norm.variance"].sqrt()
        port = third(second(first(scaled).relu()).relu()).sigmoid().numpy()
    ours = 1 / (1 + np.exp(-load(str(path)).outputs(photographs)))
    assert np.abs(ours - port).max() == pytest.approx(0.0006, abs=0.0001)


def test_everyday_photographs_are_safe_peaceful_and_middling(
    real: Path, photographs: NDArray[np.float32]
) -> None:
    def answers(name: str) -> NDArray[np.float64]:
        return load(str(real / "heads" / name)).outputs(photographs)

    nsfw = 1 / (1 + np.exp(-answers("clip_ViT-B-32_openai_binary_nsfw_head.pth")[:, 0]))
    assert (nsfw <= 0.1).mean() == pytest.approx(0.93)
    assert np.median(nsfw) < 0.0001
    ratings = answers("sa_0_4_vit_b_32_linear.pth")[:, 0]
    assert ratings.mean() == pytest.approx(5.57, abs=0.01)
    assert (ratings >= 3).all()
    assert ((ratings >= 3) & (ratings <= 7)).mean() >= 0.95
    peaceful, violent = answers("violence_detection_vit_b_32.npy").T
    assert (violent < peaceful).mean() == pytest.approx(0.97)
