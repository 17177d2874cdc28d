"""Machine instructions that Numba does not offer by itself."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "above_in_block", "above_in_row", "lowest_bit", "prefetch"]

LANES = 16
"""Sums that are compared at a time."""

ROWS = 8
"""Rows of so many sums in a block."""


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for ``array[index]`` to be brought into the cache; changes nothing else.

    An index out of range is harmless: no memory is read that could fault.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(view.data, [arguments[1]])
        pointer = builder.bitcast(place, cgutils.voidptr_t)
        int32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, int32, int32, int32])
        name = "llvm.prefetch.p0i8"
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, name
        )
        # For reading, to be kept in all caches, data.
        builder.call(function, [pointer, int32(0), int32(3), int32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _above(n_rows: int) -> Any:
    """Return the intrinsic that compares ``n_rows`` rows of sums at a time with a bar."""
    int32 = ir.IntType(32)
    lanes = ir.VectorType(int32, LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def load(array: int, index: Any) -> Any:
            view = context.make_array(signature.args[array])(context, builder, arguments[array])
            place = builder.gep(view.data, [index])
            return builder.load(builder.bitcast(place, lanes.as_pointer()), align=4)

        _, start, _, at, bar = arguments
        largest = load(0, start)
        for row in range(1, n_rows):
            sums = load(0, builder.add(start, ir.Constant(start.type, row * LANES)))
            largest = builder.select(builder.icmp_signed(">", sums, largest), sums, largest)
        first_lane = builder.insert_element(ir.Constant(lanes, ir.Undefined), bar, int32(0))
        bars = builder.shuffle_vector(first_lane, first_lane, ir.Constant(lanes, None))
        above = builder.icmp_signed(">", largest, builder.sub(bars, load(2, at)))
        return builder.zext(builder.bitcast(above, ir.IntType(LANES)), ir.IntType(64))

    def above(typing_context: Any, sums: Any, start: Any, bounds: Any, at: Any, bar: Any) -> Any:
        """Tell in which lanes a sum, with its bound, exceeds a bar.

        Parameters
        ----------
        sums : ndarray of int32
            Those from ``start`` on: one row of `LANES`, or `ROWS` rows, of which the largest of
            each lane counts.
        start : int64
        bounds : ndarray of int32
            What may be added to each lane: those from ``at`` on.
        at : int64
        bar : int32

        Returns
        -------
        uint64
            Bit i is set if lane i exceeds the bar. Nothing checks that the entries exist.
        """
        return types.uint64(sums, types.int64, bounds, types.int64, types.int32), generate

    return intrinsic(above)


above_in_row = _above(1)
above_in_block = _above(ROWS)


@intrinsic
def lowest_bit(typing_context: Any, mask: Any) -> Any:
    """Return the number of the lowest bit that is set in a mask, which must not be 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), generate
