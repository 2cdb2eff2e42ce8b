"""Made-up folders of every layout of a corpus: nothing is decoded, so a clip file may hold anything."""

import csv
import io
from pathlib import Path

LABEL_CSV = ["video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode"]
FIELDS = ("video_id", "clip_id", "text", "label", "mode")


def table(rows, header=LABEL_CSV, fields=FIELDS, is_headed=True) -> str:
    """Return rows as csv text: cells named by `fields`, columns by `header`, what a row lacks left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n", restval="")
    if is_headed:
        writer.writeheader()
    writer.writerows(dict(zip(fields, row, strict=True)) for row in rows)
    return text.getvalue()


def write_media(root: Path, rows) -> None:
    """Write a file of a few bytes for each (video_id, clip_id, ...)."""
    for nth, (video_id, clip_id, *_) in enumerate(rows):
        put(root / "Raw" / video_id / f"{clip_id}.mp4", "x" * (nth % 7 + 1))


def write_label_csv(root: Path, rows, name: str = "label.csv", **options) -> Path:
    """Write a corpus with label.csv and its clip files; `options` as for `table`."""
    write_media(root, rows)
    put(root / name, table(rows, **options))
    return root


def write_cmu(root: Path, rows) -> Path:
    """Write (video_id, number, text, label) as CMU hands MOSI out, with the table of labels that has no header."""
    transcripts: dict[str, str] = {}
    for nth, (video_id, number, text, _) in enumerate(rows):
        name = f"{video_id}_{number}"
        put(root / "Video/Segmented" / f"{name}.mp4", "v" * (nth + 1))
        put(root / "Audio/WAV_16000/Segmented" / f"{name}.wav", "a" * (nth + 1))
        transcripts[video_id] = f"{transcripts.get(video_id, '')}{number}_DELIM_{text}\n"
    for video_id, text in transcripts.items():
        put(root / "Transcript/Segmented" / f"{video_id}.annotprocessed", text)
    lines = [f"0.5,2.25,{video_id},{number},{label}\n" for video_id, number, _, label in rows]
    put(root / "Labels/OpinionLevelSentiment.csv", "".join(lines))
    return root


MELD_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
MELD_COLUMNS = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def write_meld(root: Path, rows) -> Path:
    """Write (train, dev or test; dialogue; utterance; text; emotion; sentiment) as MELD is handed out."""
    for name, folder in MELD_FOLDERS.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(MELD_COLUMNS.split(","))
        for nth, (_, dialogue, utterance, *words) in enumerate(row for row in rows if row[0] == name):
            times = ("00:01:02,345", "0:1:03,4")
            said, emotion, sentiment = words
            writer.writerow((nth, said, "Ross", emotion, sentiment, dialogue, utterance, 4, 7, *times))
            put(root / folder / f"dia{dialogue}_utt{utterance}.mp4", "v" * (nth + 1))
        put(root / f"{name}_sent_emo.csv", text.getvalue())
    return root


def put(file: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
