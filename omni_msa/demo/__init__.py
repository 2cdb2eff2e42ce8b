"""What the demo dataset is made of: rated sentences, speech, drawn faces, clips."""
