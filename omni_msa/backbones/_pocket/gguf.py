"""Conversion of a quantised GGUF file into a folder of plain files."""

import io
import json
from contextlib import redirect_stderr
from pathlib import Path

from omni_msa.system.downloads import ReportProgress


def convert(gguf: Path, folder: Path, progress: ReportProgress | None = None) -> None:
    """Write a GGUF language model as `config.json`, `model.safetensors` (float32) and `tokenizer.json`.

    Args:
        gguf: a Llama-like model, quantised or not.
        folder: is created.
        progress: called with (what, steps done, steps in total).
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from omni_msa.model.thinker import no_progress_bar

    def report(done: int) -> None:
        if progress:
            progress("converting the language model", done, 3)

    report(0)
    with no_progress_bar(), redirect_stderr(io.StringIO()):  # the progress bar of the reader cannot be disabled
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    report(1)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    report(2)
    folder.mkdir(parents=True)
    # transformers refuses to save what it read from a quantised file, so tensors and fields are written one by one.
    fields = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True), encoding="utf-8")
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    report(3)
