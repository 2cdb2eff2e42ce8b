"""Audio and video files: decoding, and what the network sees and hears of them."""
