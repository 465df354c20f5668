"""Self-attention that is fast in bfloat16 and can be exported to ONNX.

`torch.nn.MultiheadAttention` hands its transposed input to a product that, in bfloat16 on CPU,
copies the weights for every row. Measured on ViT-B/32's text tower, 4 texts on one core: 402 ms a
text, 20 ms for a text alone. Here the input stays as it lies; the arithmetic is the same.
"""

from typing import Any


def replace_attention(network: Any) -> None:
    """Put this attention in place of PyTorch's in every block of open_clip's transformers."""
    from open_clip.transformer import ResidualAttentionBlock

    for block in network.modules():
        if isinstance(block, ResidualAttentionBlock) and not hasattr(block, "ln_1_kv"):
            block.attn = _self_attention()(block.attn)


def _self_attention() -> Any:
    """Return the class, made here because PyTorch is imported only where it is needed."""
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention

    class SelfAttention(torch.nn.Module):
        """Has the parameters of a `MultiheadAttention`; key and value are the query."""

        def __init__(self, theirs: torch.nn.MultiheadAttention) -> None:
            super().__init__()
            self.heads = theirs.num_heads
            self.in_proj_weight = theirs.in_proj_weight
            self.in_proj_bias = theirs.in_proj_bias
            self.out_proj = theirs.out_proj

        def forward(
            self,
            query: Any,
            key: Any,
            value: Any,
            need_weights: bool = False,
            attn_mask: Any = None,
        ) -> tuple[Any, None]:
            rows, length, width = query.shape
            joint = linear(query, self.in_proj_weight, self.in_proj_bias)
            parts = joint.view(rows, length, 3, self.heads, width // self.heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            if attn_mask is not None and attn_mask.dim() == 3:
                attn_mask = attn_mask.view(rows, self.heads, length, length)
            seen = scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
            return self.out_proj(seen.transpose(1, 2).reshape(rows, length, width)), None

    return SelfAttention
