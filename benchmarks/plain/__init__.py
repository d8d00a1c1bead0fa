"""The reference that ours is measured against: the published training steps and loader, in the plainest torch.

Written from the papers and from what is known of the released code, without a look at the speed, and kept apart from
the package: nothing here imports inpaintlab.
"""
