"""Speed and memory of the diffusion decoder, as ratios within one run."""
