"""How the planted server is judged here."""

from edgewright.validate.soundness import SoundnessLimits

# Test machines are busy with other tests; what is tried here is not whether they are quiet.
BUSY = SoundnessLimits(
    steal_share=1.0,
    others_share=1.0,
    wait_share=1.0,
    frequency_ratio=0.0,
    lag_p95_s=1.0,
    settled_share=1.0,
)
