// What a random Program may do: one function for every family of primitives. Each takes arrays of the pool and adds what
// it makes of them, or gives false if nothing there fits.
import * as DTypes from "../../../src/Tensor/DType.ts"
import { windows } from "../../../src/Tensor/lax/convolution.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import type { Shape } from "../../../src/Tensor/Shape.ts"
import { literal, type Tensor } from "../../../src/Tensor/Tensor.ts"
import { dtypeOf, most, type Pool, shapeOf, sizeOf } from "./generator.ts"

/** Adds to a pool; false if it could not. */
export type Operation = (pool: Pool) => boolean

const isFloat = (x: Tensor): boolean => DTypes.isFloat(x.dtype)
const isInteger = (x: Tensor): boolean => DTypes.isInteger(x.dtype)
const isNumber = (x: Tensor): boolean => x.dtype !== "bool"

const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

type Unary = (x: Tensor) => Tensor

const smooth: ReadonlyArray<Unary> = [lax.exp, lax.tanh, lax.logistic, lax.sin, lax.cos, lax.erf, lax.expm1, lax.atan]
const positive: ReadonlyArray<Unary> = [lax.log, lax.sqrt, lax.rsqrt, lax.log1p, lax.lgamma, lax.digamma, lax.acosh]
const others: ReadonlyArray<Unary> = [
  lax.exp2,
  lax.cbrt,
  lax.tan,
  lax.asin,
  lax.acos,
  lax.sinh,
  lax.cosh,
  lax.asinh,
  lax.atanh,
  lax.erfc,
  lax.erfInv,
  lax.round,
  lax.floor,
  lax.ceil
]
const numeric: ReadonlyArray<Unary> = [lax.neg, lax.abs, lax.square, lax.sign]

const unary: Operation = (pool) => {
  const x = pool.find()
  if (x === undefined) return false
  const { rng } = pool
  if (x.dtype === "bool") return pool.add(lax.not(x))
  if (isInteger(x)) return pool.add(rng.pick([...numeric, lax.not, lax.populationCount, lax.clz])(x))
  const choice = rng.uniform()
  if (choice < 0.4) return pool.add(rng.pick(smooth)(x))
  if (choice < 0.6) {
    return pool.add(
      rng.pick(positive)(pool.chance(0.9) ? lax.add(lax.abs(x), lax.broadcastTo(pool.number(x.dtype), x.shape)) : x)
    )
  }
  if (choice < 0.75) return pool.add(rng.pick(others)(x))
  if (choice < 0.8) return pool.add(lax.integerPow(x, rng.integer(-3, 6)))
  if (choice < 0.83) return pool.add(lax.isFinite(x))
  return pool.add(rng.pick(numeric)(x))
}

const binary: Operation = (pool) => {
  const x = pool.find()
  if (x === undefined) return false
  const { rng } = pool
  const y = pool.like(x.shape, x.dtype)
  const [a, b] = pool.chance(0.5) ? [x, y] : [y, x]
  if (x.dtype === "bool") return pool.add(rng.pick([lax.and, lax.or, lax.xor, lax.max, lax.min])(a, b))
  if (isInteger(x)) {
    const bits = [lax.and, lax.or, lax.xor, lax.shiftLeft, lax.shiftRightArithmetic, lax.shiftRightLogical]
    return pool.add(rng.pick([lax.add, lax.sub, lax.mul, lax.max, lax.min, lax.div, lax.rem, ...bits])(a, b))
  }
  if (pool.chance(0.05)) return pool.add(rng.pick([lax.rem, lax.atan2, lax.nextafter])(a, b))
  if (pool.chance(0.05)) return pool.add(lax.pow(lax.abs(a), b))
  return pool.add(rng.pick([lax.add, lax.sub, lax.mul, lax.mul, lax.add, lax.max, lax.min, lax.div])(a, b))
}

const choose: Operation = (pool) => {
  const x = pool.find()
  if (x === undefined) return false
  const { rng } = pool
  const y = pool.like(x.shape, x.dtype)
  if (pool.chance(0.3)) return pool.add(rng.pick([lax.eq, lax.ne, lax.lt, lax.le, lax.gt, lax.ge])(x, y))
  if (pool.chance(0.3) && isNumber(x)) return pool.add(lax.clamp(y, x, pool.like(x.shape, x.dtype)))
  if (pool.chance(0.2)) {
    const which = pool.like(x.shape, "int32")
    return pool.add(lax.selectN(lax.clamp(zerosLike(which), which, full(which, 2)), x, y, pool.like(x.shape, x.dtype)))
  }
  const compared = pool.chance(0.5) ? pool.like(x.shape, "bool") : rng.pick([lax.lt, lax.gt, lax.le])(x, y)
  return pool.add(lax.selectN(compared, x, pool.like(x.shape, x.dtype)))
}

const full = (x: Tensor, value: number): Tensor => lax.broadcastTo(literal(value, x.dtype), x.shape)
const zerosLike = (x: Tensor): Tensor => full(x, 0)

const convert: Operation = (pool) => {
  const x = pool.find()
  if (x === undefined) return false
  const dtype = dtypeOf(pool.rng)
  if (pool.chance(0.15) && DTypes.bits(dtype) === DTypes.bits(x.dtype) && dtype !== "bool" && x.dtype !== "bool") {
    return pool.add(lax.bitcastConvertType(x, dtype))
  }
  return pool.add(pool.as(x, dtype))
}

const move: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0)
  if (x === undefined) return false
  const { rng } = pool
  switch (rng.integer(0, 5)) {
    case 0:
      return pool.add(lax.transpose(x, rng.permutation(x.ndim)))
    case 1:
      return pool.add(lax.rev(x, range(x.ndim).filter(() => pool.chance(0.5))))
    case 2: {
      const start = x.shape.map((n) => rng.integer(0, n + 1) * rng.integer(0, 2))
      const limit = x.shape.map((n, i) => pool.chance(0.5) ? n : rng.integer(start[i], n + 1))
      return pool.add(lax.slice(x, start, limit, x.shape.map(() => rng.pick([1, 1, 2, 3]))))
    }
    case 3:
      return pool.add(lax.reshape(x, regrouped(pool, x.shape)))
    default: {
      // New axes anywhere.
      const shape: Array<number> = []
      const axes: Array<number> = []
      x.shape.forEach((n) => {
        if (pool.chance(0.3)) shape.push(rng.pick(pool.palette))
        axes.push(shape.length)
        shape.push(n === 1 && pool.chance(0.5) ? rng.pick(pool.palette) : n)
      })
      return sizeOf(shape) <= most && pool.add(lax.broadcastInDim(x, shape, axes))
    }
  }
}

/** The same number of elements: axes merged, or split. */
const regrouped = (pool: Pool, shape: Shape): Shape => {
  const out: Array<number> = []
  for (const n of shape) {
    if (out.length > 0 && pool.chance(0.4)) out[out.length - 1] *= n
    else out.push(n)
  }
  const split = out.flatMap((n) => {
    const factors = range(n).slice(2).filter((f) => n % f === 0)
    if (factors.length === 0 || pool.chance(0.5)) return pool.chance(0.15) ? [n, 1] : [n]
    const f = pool.rng.pick(factors)
    return [f, n / f]
  })
  return split.length <= 6 ? split : [sizeOf(shape)]
}

const assemble: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0)
  if (x === undefined) return false
  const { rng } = pool
  if (pool.chance(0.5)) {
    const config = x.shape.map((n) => {
      const low = rng.integer(-1, 3)
      const high = rng.integer(-1, 3)
      return n + low + high < 0 ? [0, 0, 0] as const : [low, high, rng.pick([0, 0, 0, 1, 2])] as const
    })
    return pool.add(lax.pad(x, pool.number(x.dtype), config))
  }
  const axis = rng.integer(0, x.ndim)
  const pieces = range(rng.integer(1, 4)).map(() => {
    const size = pool.chance(0.5) ? x.shape[axis] : rng.integer(1, 4)
    return pool.like(x.shape.with(axis, size), x.dtype)
  })
  return pool.add(lax.concatenate(pool.chance(0.5) ? [x, ...pieces] : [...pieces, x], axis))
}

const someAxes = (pool: Pool, x: Tensor): ReadonlyArray<number> => {
  const { rng } = pool
  const choice = rng.uniform()
  if (choice < 0.4) return [x.ndim - 1]
  if (choice < 0.6) return [rng.integer(0, x.ndim)]
  if (choice < 0.75) return range(x.ndim)
  return range(x.ndim).filter(() => pool.chance(0.5))
}

const reduce: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0)
  if (x === undefined) return false
  const { rng } = pool
  const axes = someAxes(pool, x)
  if (x.dtype === "bool") {
    return pool.add(rng.pick([lax.reduceAnd, lax.reduceOr, lax.reduceMax, lax.reduceMin])(x, axes))
  }
  if (isInteger(x)) {
    const reductions = [lax.reduceSum, lax.reduceProd, lax.reduceMax, lax.reduceMin, lax.reduceAnd, lax.reduceOr]
    return pool.add(rng.pick(reductions)(x, axes))
  }
  return pool.add(rng.pick([lax.reduceSum, lax.reduceSum, lax.reduceMax, lax.reduceMin, lax.reduceProd])(x, axes))
}

const kept = (x: Tensor, axes: ReadonlyArray<number>, y: Tensor): Tensor =>
  lax.broadcastInDim(y, x.shape, range(x.ndim).filter((i) => !axes.includes(i)))

/** Softmax, norms, sums of exponentials, and halves of them. */
const rows: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && isFloat(t))
  if (x === undefined) return false
  const { rng } = pool
  const axes = pool.chance(0.7) ? [x.ndim - 1] : someAxes(pool, x)
  const spread = (y: Tensor) => kept(x, axes, y)
  const top = lax.reduceMax(x, axes)
  const shifted = lax.sub(x, spread(pool.chance(0.5) ? lax.stopGradient(top) : top))
  switch (rng.integer(0, 4)) {
    case 0: {
      const e = lax.exp(shifted)
      const y = lax.div(e, spread(lax.reduceSum(e, axes)))
      return pool.add(...pool.chance(0.3) ? [e, y] : [y])
    }
    case 1: {
      const s = lax.log(lax.reduceSum(lax.exp(shifted), axes))
      return pool.add(lax.add(s, top), lax.sub(shifted, spread(s)))
    }
    case 2: {
      const count = lax.reduceSum(full(x, 1), axes)
      const mean = lax.div(lax.reduceSum(x, axes), count)
      const centered = lax.sub(x, spread(mean))
      const variance = lax.div(lax.reduceSum(lax.square(centered), axes), count)
      const normed = lax.mul(centered, spread(lax.rsqrt(lax.add(variance, full(variance, 1e-3)))))
      const scaled = lax.add(lax.mul(normed, pool.like(x.shape, x.dtype)), pool.like(x.shape, x.dtype))
      return pool.add(...pool.chance(0.5) ? [scaled] : [mean, scaled])
    }
    default: {
      const norm = lax.reduceSum(lax.abs(x), axes)
      const y = lax.mul(x, spread(lax.logistic(norm)))
      return pool.add(y, lax.reduceMax(y, axes))
    }
  }
}

/** A product, its operands brought into fitting shapes, and perhaps what follows a product in a network. */
const dot: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && isNumber(t) && t.size <= 2500)
  if (x === undefined) return false
  const { rng } = pool
  const order = rng.permutation(x.ndim)
  const batchCount = pool.chance(0.3) ? rng.integer(0, x.ndim) : 0
  const contractingCount = pool.chance(0.85) ? 1 : rng.integer(0, x.ndim - batchCount + 1)
  const xb = order.slice(0, batchCount)
  const xc = order.slice(batchCount, batchCount + contractingCount)
  const free = shapeOf(rng, pool.palette, rng.pick([0, 1, 1, 1, 2]))
  const wanted = [...xb.map((i) => x.shape[i]), ...xc.map((i) => x.shape[i]), ...free]
  if (sizeOf(wanted) > 2500) return false
  const made = rng.permutation(wanted.length)
  const y = pool.like(made.map((i) => wanted[i]), x.dtype)
  const place = (i: number) => made.indexOf(i)
  const yb = xb.map((_, i) => place(i))
  const yc = xc.map((_, i) => place(batchCount + i))
  const work = sizeOf(free) * x.size
  if (work > 90_000) return false
  const out = lax.dotGeneral(x, y, { batch: [xb, yb], contracting: [xc, yc] })
  if (out.size > most) return false
  if (!isFloat(x) || pool.chance(0.4)) return pool.add(out)
  const biased = lax.add(out, pool.like(out.shape, out.dtype))
  if (pool.chance(0.3)) return pool.add(biased)
  if (pool.chance(0.3)) return pool.add(lax.max(biased, lax.broadcastTo(pool.number(out.dtype), out.shape)))
  if (pool.chance(0.3) && out.ndim > 0) return pool.add(lax.transpose(out, rng.permutation(out.ndim)))
  return pool.add(lax.mul(biased, lax.logistic(biased)), ...pool.chance(0.3) ? [out] : [])
}

const convolution: Operation = (pool) => {
  const { rng } = pool
  const spatial = rng.pick([1, 2, 2])
  const groups = pool.chance(0.2) ? 2 : 1
  const channels = groups * rng.integer(1, 5)
  const features = groups * rng.integer(1, 5)
  const batch = rng.integer(1, 3)
  const dtype = pool.chance(0.9) ? "float32" : rng.pick(["float16", "bfloat16"] as const)
  const image = range(spatial).map(() => rng.integer(1, 8))
  const window = range(spatial).map(() => rng.integer(1, 4))
  const x = pool.like([batch, channels, ...image], dtype)
  const y = pool.like([features, channels / groups, ...window], dtype)
  const xOrder = rng.permutation(spatial + 2)
  const yOrder = rng.permutation(spatial + 2)
  const outOrder = rng.permutation(spatial + 2)
  const inverse = (p: ReadonlyArray<number>) => range(p.length).map((i) => p.indexOf(i))
  const strides = range(spatial).map(() => rng.pick([1, 1, 2]))
  const padding = range(spatial).map(() => [rng.integer(0, 3), rng.integer(0, 3)] as const)
  const lhs = range(spatial).map(() => rng.pick([1, 1, 1, 2]))
  const rhs = range(spatial).map(() => rng.pick([1, 1, 1, 2]))
  const counts = range(spatial).map((i) =>
    windows((image[i] - 1) * lhs[i] + 1 + padding[i][0] + padding[i][1], (window[i] - 1) * rhs[i] + 1, strides[i])
  )
  if (counts.some((n) => n > 12)) return false
  const out = lax.convGeneralDilated(lax.transpose(x, xOrder), lax.transpose(y, yOrder), {
    window_strides: strides,
    padding,
    lhs_dilation: lhs,
    rhs_dilation: rhs,
    dimension_numbers: {
      lhs_spec: inverse(xOrder),
      rhs_spec: inverse(yOrder),
      out_spec: inverse(outOrder)
    },
    feature_group_count: groups,
    batch_group_count: 1,
    preferred_element_type: null
  })
  return pool.add(pool.chance(0.5) ? out : lax.max(lax.add(out, pool.like(out.shape, dtype)), zerosLike(out)))
}

const window: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && t.size > 0 && t.size < 600 && isNumber(t))
  if (x === undefined) return false
  const { rng } = pool
  const dilations = pool.chance(0.3)
  const params = {
    window_dimensions: x.shape.map(() => rng.integer(1, 4)),
    window_strides: x.shape.map(() => rng.integer(1, 3)),
    padding: x.shape.map(() => [rng.integer(0, 2), rng.integer(0, 2)] as const),
    base_dilation: x.shape.map(() => dilations ? rng.integer(1, 3) : 1),
    window_dilation: x.shape.map(() => dilations ? rng.integer(1, 3) : 1)
  }
  const f = rng.pick([lax.reduceWindowSum, lax.reduceWindowMax, lax.reduceWindowMin])
  const out = f(x, params)
  if (f === lax.reduceWindowSum || dilations || !isFloat(x) || pool.chance(0.5)) return pool.add(out)
  const { padding, window_dimensions, window_strides } = params
  const select_prim = rng.pick(["ge", "le"] as const)
  const source = pool.like(out.shape, x.dtype)
  return pool.add(lax.selectAndScatterAdd(source, x, { padding, window_dimensions, window_strides, select_prim }))
}

const running: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && isNumber(t))
  if (x === undefined) return false
  const { rng } = pool
  const all = [lax.cumsum, lax.cumprod, lax.cummax, lax.cummin, ...isFloat(x) ? [lax.cumlogsumexp] : []]
  return pool.add(rng.pick(all)(x, rng.integer(0, x.ndim), pool.chance(0.5)))
}

const order: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && t.size > 0)
  if (x === undefined) return false
  const { rng } = pool
  const axis = rng.integer(0, x.ndim)
  switch (rng.integer(0, 4)) {
    case 0:
      return pool.add(...lax.sort([x], axis))
    case 1:
      return pool.add(...lax.sort([x, pool.like(x.shape, rng.pick(["int32", "float32"]))], axis, rng.integer(1, 3)))
    case 2:
      return isNumber(x) && pool.add(...lax.topK(x, rng.integer(1, x.shape[x.ndim - 1] + 1)))
    default:
      return isNumber(x) && pool.add(rng.pick([lax.argmax, lax.argmin])(x, axis))
  }
}

/** Whole numbers, most of them indices of an axis. */
const indexFor = (pool: Pool, shape: Shape, size: number): Tensor => {
  const raw = pool.like(shape, "int32")
  if (pool.chance(0.2)) return raw
  return lax.clamp(zerosLike(raw), raw, full(raw, Math.max(size, 1) - 1))
}

// What is promised would have to be kept.
const modes = ["clip", "fill_or_drop"] as const

const gather: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && t.size > 0)
  if (x === undefined) return false
  const { rng } = pool
  const axis = rng.integer(0, x.ndim)
  const mode = rng.pick(modes)
  const fill = pool.chance(0.3) && isNumber(x) ? 1 : null
  if (pool.chance(0.5)) {
    // Along an axis, one element each: takeAlongAxis.
    const count = rng.pick([1, 1, 2, 3])
    const others = range(x.ndim).filter((i) => i !== axis)
    const indices = lax.reshape(indexFor(pool, x.shape.with(axis, count), x.shape[axis]), [
      ...x.shape.with(axis, count),
      1
    ])
    return pool.add(lax.gather(x, indices, {
      dimension_numbers: {
        offset_dims: [],
        collapsed_slice_dims: [axis],
        start_index_map: [axis],
        operand_batching_dims: others,
        start_indices_batching_dims: others
      },
      slice_sizes: x.shape.map(() => 1),
      mode,
      fill_value: fill
    }))
  }
  const batch = shapeOf(rng, pool.palette, rng.integer(0, 2))
  if (sizeOf(batch) * x.size > most) return false
  const indices = lax.reshape(indexFor(pool, batch, x.shape[axis]), [...batch, 1])
  return pool.add(lax.gather(x, indices, {
    dimension_numbers: {
      offset_dims: range(x.ndim - 1).map((i) => i + batch.length),
      collapsed_slice_dims: [axis],
      start_index_map: [axis],
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: x.shape.with(axis, 1),
    mode,
    fill_value: fill
  }))
}

const scatter: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && t.size > 0 && isNumber(t))
  if (x === undefined) return false
  const { rng } = pool
  const axis = rng.integer(0, x.ndim)
  const mode = rng.pick(modes)
  const all = [lax.scatterAdd, lax.scatterAdd, lax.scatterMul, lax.scatterMin, lax.scatterMax]
  if (pool.chance(0.4)) {
    const others = range(x.ndim).filter((i) => i !== axis)
    const count = rng.pick([1, 1, 2])
    const shape = x.shape.with(axis, count)
    const indices = lax.reshape(indexFor(pool, shape, x.shape[axis]), [...shape, 1])
    return pool.add(
      rng.pick(all)(x, indices, pool.like(shape, x.dtype), {
        dimension_numbers: {
          update_window_dims: [],
          inserted_window_dims: [axis],
          scatter_dims_to_operand_dims: [axis],
          operand_batching_dims: others,
          scatter_indices_batching_dims: others
        },
        mode,
        unique_indices: false
      })
    )
  }
  const count = rng.integer(1, 5)
  const rest = x.shape.filter((_, i) => i !== axis)
  const indices = lax.reshape(indexFor(pool, [count], x.shape[axis]), [count, 1])
  return pool.add(
    rng.pick(all)(x, indices, pool.like([count, ...rest], x.dtype), {
      dimension_numbers: {
        update_window_dims: range(rest.length).map((i) => i + 1),
        inserted_window_dims: [axis],
        scatter_dims_to_operand_dims: [axis],
        operand_batching_dims: [],
        scatter_indices_batching_dims: []
      },
      mode,
      unique_indices: false
    })
  )
}

const dynamic: Operation = (pool) => {
  const x = pool.find((t) => t.ndim > 0 && t.size > 0)
  if (x === undefined) return false
  const { rng } = pool
  const starts = x.shape.map(() => pool.like([], "int32"))
  const sizes = x.shape.map((n) => rng.integer(1, n + 1))
  if (pool.chance(0.5)) return pool.add(lax.dynamicSlice(x, starts, sizes))
  return pool.add(lax.dynamicUpdateSlice(x, pool.like(sizes, x.dtype), starts))
}

const make: Operation = (pool) => {
  const { rng } = pool
  const shape = shapeOf(rng, pool.palette, rng.integer(1, 4))
  if (pool.chance(0.7)) {
    const dtype = dtypeOf(rng)
    return pool.add(lax.iota(dtype === "bool" ? "int32" : dtype, shape, rng.integer(0, shape.length)))
  }
  const word = () => pool.like(shape, "uint32")
  return pool.add(...lax.threefry2x32(word(), word(), word(), word()))
}

/** One step of an optimizer on several arrays at once. */
const update: Operation = (pool) => {
  const xs = pool.all.filter((t) => t.dtype === "float32" && t.size > 0).slice(-4)
  if (xs.length < 2) return false
  return pool.add(...xs.map((x) => {
    const g = pool.like(x.shape, "float32")
    const m = lax.mul(g, lax.broadcastTo(pool.number("float32"), x.shape))
    return lax.sub(x, lax.div(m, lax.add(lax.sqrt(lax.square(g)), full(g, 1e-3))))
  }))
}

/** All families, with how often they come. */
export const operations: ReadonlyArray<readonly [Operation, number]> = [
  [unary, 14],
  [binary, 20],
  [choose, 6],
  [convert, 6],
  [move, 16],
  [assemble, 5],
  [reduce, 9],
  [rows, 6],
  [dot, 8],
  [convolution, 2],
  [window, 2],
  [running, 2],
  [order, 3],
  [gather, 4],
  [scatter, 4],
  [dynamic, 3],
  [make, 4],
  [update, 2]
]
