"""Audio and video files: checking, decoding, and the features that the network takes."""
