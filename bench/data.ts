/** Inputs of workloads: the same numbers for every library, drawn from a seed. */

/** An array, row by row. */
export interface Data {
  readonly shape: ReadonlyArray<number>
  readonly values: Float32Array | Int32Array
}

/** Arrays by name. */
export type Arrays = Readonly<Record<string, Data>>

/** How many elements an array of this shape has. */
export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** Numbers in [0, 1): Tommy Ettinger's mulberry32. */
const generator = (seed: number) => {
  const state = Uint32Array.of(seed)
  return (): number => {
    state[0] += 0x6d2b79f5
    const mixed = Math.imul(state[0] ^ (state[0] >>> 15), state[0] | 1)
    const again = mixed ^ (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61))
    return ((again ^ (again >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Normally distributed numbers, by Box and Muller. */
export const normal = (seed: number, shape: ReadonlyArray<number>, deviation = 1): Data => {
  const next = generator(seed)
  const draw = () => deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return { shape, values: Float32Array.from({ length: sizeOf(shape) }, draw) }
}

/** Numbers in [0, 1). */
export const uniform = (seed: number, shape: ReadonlyArray<number>): Data => {
  const next = generator(seed)
  return { shape, values: Float32Array.from({ length: sizeOf(shape) }, next) }
}

/** Whole numbers from 0 to `below`, without `below`. */
export const integers = (seed: number, shape: ReadonlyArray<number>, below: number): Data => {
  const next = generator(seed)
  return { shape, values: Int32Array.from({ length: sizeOf(shape) }, () => Math.floor(next() * below)) }
}

/** The same number everywhere. */
export const constant = (shape: ReadonlyArray<number>, value: number): Data => ({
  shape,
  values: new Float32Array(sizeOf(shape)).fill(value)
})

/** The identity matrix, a little disturbed: its powers stay of the same size. */
export const almostIdentity = (seed: number, n: number): Data => {
  const { shape, values } = normal(seed, [n, n], 0.01)
  return { shape, values: Float32Array.from(values, (x, i) => x + (i % (n + 1) === 0 ? 1 : 0)) }
}

/** The array with its axes in another order: axis i of the result is axis `order[i]`. */
export const transpose = ({ shape, values }: Data, order: ReadonlyArray<number>): Data => {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)))
  const moved = order.map((axis) => shape[axis])
  const out = values.slice()
  const index = moved.map(() => 0)
  for (let i = 0; i < out.length; i++) {
    out[i] = values[order.reduce((at, axis, j) => at + index[j] * strides[axis], 0)]
    for (let j = index.length - 1; j >= 0 && ++index[j] === moved[j]; j--) index[j] = 0
  }
  return { shape: moved, values: out }
}

/** The same elements under another shape. */
export const reshape = ({ values }: Data, shape: ReadonlyArray<number>): Data => ({ shape, values })
