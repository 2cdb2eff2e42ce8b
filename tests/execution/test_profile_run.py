"""A measured warm-up, on the tiny backbone."""

import json
import sys
from types import SimpleNamespace

import pytest

from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.place import Place
from helpers.stand_ins import finished
from helpers.tiny_trials import config
from omni_msa.errors import InputError
from omni_msa.execution.profile_run import NUM_STEPS, NUM_WARM_UP_STEPS, _Clock, measure, to_measure, warm_up
from omni_msa.ledger.ledger import Ledger
from omni_msa.model.backbone_cache import Resident
from omni_msa.planning import hardware, timing

READOUTS = ("discriminative", "generative", "expected_value", "generative_zero_shot", "frozen_probe", "constant")


def trials(*readouts: str, **sections) -> list:
    return [SimpleNamespace(fit_id=name, config=config(readout={"name": name}, **sections)) for name in readouts]


def files_in(folder) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Temporary folders lie where a test can look."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_each_kind_is_measured_once(tmp_path):
    ledger = Ledger(tmp_path / "mlruns")
    twice = trials(*READOUTS) + trials(*READOUTS, seed=2)
    names = [each.readout.name for each in to_measure(twice, ledger)]
    assert names == ["discriminative", "generative", "generative_zero_shot", "frozen_probe"]
    other_rate = trials("discriminative", training={"learning_rate": 1e-5, "epochs": 7})
    assert len(to_measure(trials("discriminative") + other_rate, ledger)) == 1
    other_batch = trials("discriminative", training={"batch_size": 2})
    assert len(to_measure(trials("discriminative") + other_batch, ledger)) == 2


def test_what_a_trial_done_tells_is_not_measured(tmp_path):
    finished(tmp_path / "mlruns", "t1", config(seed=9))
    assert to_measure(trials("discriminative", "constant"), Ledger(tmp_path / "mlruns")) == []


def test_measured_once_it_is_known_and_nothing_else_is_left(tmp_path, text_clips, temporary):
    ledger, missing, said = Ledger(tmp_path / "mlruns"), trials(*READOUTS), []
    before = timing.costs(
        [SimpleNamespace(fit_id=str(n), config=each.config) for n, each in enumerate(missing)], ledger
    )
    measure(missing, ledger, lambda what, done, total: said.append((done, total)))
    assert said == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert to_measure(missing, ledger) == []
    assert len(files_in(ledger.root)) == 4 and files_in(temporary) == []
    after = timing.costs(missing, ledger)
    assert [cost.basis for cost in before] == ["guessed"] * 6
    assert [cost.basis for cost in after] == ["warmed"] * 5 + ["guessed"]
    assert all(cost.seconds and 0 < cost.seconds < 60 for cost in after[:5])
    measure(missing, ledger, lambda what, done, total: pytest.fail("nothing is left to measure"))


def test_a_warm_up_says_what_it_found_and_leaves_the_backbone_as_it_was(text_clips):
    resident = Resident()
    values = warm_up(config(), resident)
    assert (values["num_train"], values["num_valid"], values["num_test"]) == (8, 4, 4)
    assert values["step_s"] > 0 and values["eval_clip_s"] > 0 and values["setup_s"] > 0
    assert values["peak_memory_gb"] > 0.1 and values["closed_form"] is False
    resident.check_unchanged()
    frozen = warm_up(config(readout={"name": "frozen_probe"}), resident)
    assert frozen["step_s"] == 0 and frozen["eval_clip_s"] > 0 and frozen["closed_form"] is True


def test_the_test_split_stays_closed(text_clips, monkeypatch):
    def opened(splits):
        raise AssertionError("test was opened")

    monkeypatch.setattr("omni_msa.data.splits.Splits.unlock_test", opened)
    one_step = {"epochs": 1, "batch_size": 8}
    assert warm_up(config(training=one_step), Resident())["step_s"] > 0


def test_the_step_is_the_median_after_the_warm_up():
    clock = _Clock()
    assert [clock() for _ in range(NUM_WARM_UP_STEPS + NUM_STEPS)] == [False] * 7 + [True]
    clock.times = [0, 50, 51, 52, 53, 63, 64, 65]  # two slow first steps, and one at an epoch's end
    assert clock.step_s() == 1


def test_a_busy_gpu_is_not_measured_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(FakeGpu(24.0, 0.0, {77: 24.0})))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    on_gpu = trials("discriminative", runtime={"device": "cuda"})
    assert hardware.uses_gpu(on_gpu[0].config.runtime)
    with pytest.raises(InputError, match="pid 77"):
        measure(on_gpu, Ledger(tmp_path / "mlruns"), lambda what, done, total: None)
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_the_command_line_measures_when_asked(tmp_path):
    (tmp_path / "place").mkdir()
    place = Place(tmp_path / "place")
    alone = place.run("--measure")
    assert alone.returncode == 2 and "--measure needs --plan" in alone.stderr
    done = place.run("--plan", "--measure", "--json")
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)["expected"]
    assert "6 measured by --measure on " in expected["basis"] and expected["hours"] > 0
    assert not (place.ledger / "trials").exists() and not (place.ledger / "fits").exists()
    assert "measured by --measure" in place.run("--plan").stdout
