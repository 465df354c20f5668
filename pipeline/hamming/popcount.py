"""The two instructions that comparing hashes is made of, for compiled functions.

numba takes intrinsics as globals only, so it is imported at the top: import what uses this file
where it is used.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8  # hashes compared at once: a register of 512 bits, or several narrower ones


def _emit_popcount(context: Any, bits: Any) -> Any:
    """Tell numba how to count the bits that are set: one machine instruction."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.uint64), emit


def _emit_near_lanes(context: Any, hashes: Any, start: Any, value: Any, distance: Any) -> Any:
    """Tell numba how to compare one hash with `LANES` others that stand side by side."""
    lanes = ir.VectorType(ir.IntType(64), LANES)

    def spread(builder: Any, scalar: Any) -> Any:
        first = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(ir.Constant(lanes, ir.Undefined), scalar, first)
        order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), order)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        pointer = builder.bitcast(builder.gep(array.data, [values[1]]), lanes.as_pointer())
        others = builder.load(pointer, align=8)
        kind = ir.FunctionType(lanes, [lanes])
        count = cgutils.get_or_insert_function(builder.module, kind, f"llvm.ctpop.v{LANES}i64")
        differing = builder.call(count, [builder.xor(others, spread(builder, values[2]))])
        within = builder.icmp_unsigned("<=", differing, spread(builder, values[3]))
        return builder.zext(builder.bitcast(within, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(hashes, types.int64, types.uint64, types.int64), emit


popcount: Any = intrinsic(_emit_popcount)
# near_lanes(hashes, start, value, distance): bit k is set if hashes[start + k] is within `distance`
# of `value`. The caller sees to it that all of them are there.
near_lanes: Any = intrinsic(_emit_near_lanes)
