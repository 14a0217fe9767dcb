"""A hint to the processor, for compiled loops: which memory they will read soon."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["CACHE_LINE_BYTES", "prefetch"]

CACHE_LINE_BYTES = 64
"""What one call fetches; where lines are longer, some calls are idle."""

_READ, _INTO_ALL_CACHES, _DATA = 0, 3, 1


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Start to load ``array.flat[index]`` of a contiguous array into the caches; in compiled code only.

    It changes no result and never faults, even where the index lies beyond the array.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, args[0])
        byte_pointer = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(values.data, [args[1]]), byte_pointer)
        int32 = ir.IntType(32)
        hint = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte_pointer, int32, int32, int32]),
            "llvm.prefetch.p0",
        )
        builder.call(hint, [address, *(ir.Constant(int32, flag) for flag in (_READ, _INTO_ALL_CACHES, _DATA))])
        return context.get_dummy_value()

    return types.void(array, index), generate
