/**
 * Parts of a value: `v.at("a")` is an Effect Ref of what the value of `v` has at the key `a`, so that `Ref.get`,
 * `Ref.set` and `Ref.update` work on it, in traced code and outside. Nothing is kept: a part reads and writes the
 * Variable that it came from.
 *
 * In an object a key may be new, which is how a value gains keys inside of `jit`; setting `undefined` removes one. In an
 * array a position must be there. In a Tensor a part is what an index expression names.
 */
import * as Ref from "effect/Ref"
import { IndexError } from "../Tensor/errors.ts"
import type { Index } from "../Tensor/numpy/indexing.ts"
import * as Shape from "../Tensor/Shape.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import { isPlainObject } from "../Tensor/Tree.ts"

/**
 * An Effect Ref of a part of a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface VariablePart<in out A> extends Ref.Ref<A> {
  /** A part of the part. */
  readonly at: At<A>
}

/**
 * How parts of an `A` are named: by an index expression in a Tensor, else by a key. A key of a record may be absent, so
 * its part is `undefined` then.
 *
 * @category type-level
 * @since 0.1.0
 */
export type At<A> = A extends { readonly "~linum/Tensor": unknown } ?
  (...index: ReadonlyArray<Index>) => VariablePart<Tensor>
  : <P extends keyof A>(key: P) => VariablePart<PartOf<A, P>>

/** What stands at a key. */
export type PartOf<A, P extends keyof A> = A extends ReadonlyArray<unknown> ? A[P]
  : string extends keyof A ? A[P] | undefined
  : A[P]

/** What has a current value that can be written: a Variable or a part. */
interface Whole {
  readonly ref: { current: unknown }
}

const noPart = (key: unknown, found: string, hint: string): IndexError =>
  new IndexError({ operation: "at", expected: `a part at ${String(key)}`, found, hint })

const described = (whole: unknown): string =>
  Array.isArray(whole) ? `an array of ${whole.length}` : whole === null ? "null" : `a ${typeof whole}`

const position = (whole: ReadonlyArray<unknown>, key: unknown): number => {
  const at = Number(key)
  if (Number.isInteger(at) && at >= 0 && at < whole.length) return at
  throw noPart(key, described(whole), "positions are there already: set the whole value to make it longer")
}

const getPart = (whole: unknown, index: ReadonlyArray<unknown>): unknown => {
  if (isTensor(whole)) return whole.get(...index as ReadonlyArray<Index>)
  const [key] = index
  if (Array.isArray(whole)) return (whole as ReadonlyArray<unknown>)[position(whole, key)]
  if (isPlainObject(whole)) return Object.hasOwn(whole, String(key)) ? whole[String(key)] : undefined
  throw noPart(key, described(whole), "only arrays, plain objects and Tensors have parts")
}

/** All elements at once (`v.at("...")`) are the new array itself, weakly typed if that is. */
const setElements = (whole: Tensor, index: ReadonlyArray<Index>, value: Tensor): Tensor =>
  index.length === 1 && index[0] === "..." && isTensor(value) && value.dtype === whole.dtype &&
    Shape.equals(value.shape, whole.shape)
    ? value
    : whole.at(...index).set(value)

const setPart = (whole: unknown, index: ReadonlyArray<unknown>, value: unknown): unknown => {
  if (isTensor(whole)) return setElements(whole, index as ReadonlyArray<Index>, value as Tensor)
  const [key] = index
  if (Array.isArray(whole)) return (whole as ReadonlyArray<unknown>).with(position(whole, key), value)
  if (!isPlainObject(whole)) {
    throw noPart(key, described(whole), "only arrays, plain objects and Tensors have parts")
  }
  if (value !== undefined) return { ...whole, [String(key)]: value }
  return Object.fromEntries(Object.entries(whole).filter(([name]) => name !== String(key)))
}

/** The accessor that Effect's Ref functions read and write. */
class PartAccessor {
  readonly #whole: Whole
  readonly #index: ReadonlyArray<unknown>
  constructor(whole: Whole, index: ReadonlyArray<unknown>) {
    this.#whole = whole
    this.#index = index
  }
  get current(): unknown {
    return getPart(this.#whole.ref.current, this.#index)
  }
  set current(value: unknown) {
    const { ref } = this.#whole
    ref.current = setPart(ref.current, this.#index, value)
  }
}

/** @internal See `isAccessor` of Variable.ts. */
export const isPartAccessor = (u: unknown): boolean => u instanceof PartAccessor

class PartImpl {
  readonly ref: PartAccessor
  constructor(whole: Whole, index: ReadonlyArray<unknown>) {
    this.ref = new PartAccessor(whole, index)
  }
  at(...index: ReadonlyArray<unknown>): PartImpl {
    return new PartImpl(this, index)
  }
}

const refPrototype: object = Object.getPrototypeOf(Ref.makeUnsafe(undefined))
Object.setPrototypeOf(PartImpl.prototype, refPrototype)

/** @internal The part of a Variable's value. */
export const partOf = (whole: Whole, index: ReadonlyArray<unknown>): VariablePart<unknown> =>
  new PartImpl(whole, index) as unknown as VariablePart<unknown>
