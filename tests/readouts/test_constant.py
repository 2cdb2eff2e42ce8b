from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.model.prompt import Prompt
from omni_msa.readouts import constant
from omni_msa.readouts._task import Prediction, Task


def test_every_clip_gets_the_training_median_and_no_backbone_is_needed():
    readout = constant.build(constant.Options(), Task((-3.0, 3.0), label_mean=1.0, label_std=1.0, label_median=-0.25))
    assert readout.predict(None, [Prompt(name, (), ClipInputs()) for name in "abc"]) == [Prediction(-0.25)] * 3
