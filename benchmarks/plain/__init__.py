"""The reference for the benchmark: the published training steps and loader in plain torch.

It follows the papers and what is known of the released code, without any optimization. It is independent of the
package: nothing here imports inpaintlab.
"""
