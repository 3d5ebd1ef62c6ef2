/** Expressions of the kernel language to Values. An expression that is used twice is one Value. */
import type { Emission } from "../emission.ts"
import { type Affine, type Buffer, type Expression, keyOf, type Reduction } from "../ir.ts"
import { apply, integerPower } from "../math/apply.ts"
import { bitcast, constant, convert, narrow } from "../math/dtype.ts"
import { expNegative } from "../math/exponential.ts"
import { threefry } from "../math/random.ts"
import type { Value } from "../math/value.ts"
import { Addresses, indexValue, load, loadAt } from "./memory.ts"
import { partsOf, type Space } from "./space.ts"

type Block = readonly [Value, Value]

/** Is it `x - max x`, whose exponential needs less care? */
const isBelowMaximum = (e: Expression): boolean => {
  if (e._tag !== "Apply" || e.op !== "sub") return false
  const [x, top] = e.args
  return top._tag === "Reduced" && top.reduction.combine === "max" && top.reduction.value === x
}

/** Lowers the expressions of one loop. */
export class Lowering {
  readonly #emission: Emission
  readonly #space: Space
  readonly #addresses: Addresses
  readonly #stored: ReadonlySet<Buffer>
  readonly #rowLevel: number
  readonly #product: { readonly buffer: Buffer; readonly at: Affine } | undefined
  /** Values of the whole loop, and those that depend on what the loop itself stores, which hold for one stage. */
  readonly #known = new Map<Expression, Value>()
  #fresh = new Map<Expression, Value>()
  readonly #isFresh = new Set<Value>()
  readonly #loads = new Map<Buffer, Map<string, Value>>()
  /** What the stage stores, by buffer and place: it is not read again there. */
  readonly #forwarded = new Map<Buffer, Map<string, Value>>()
  readonly #blocks = new Map<Value, Array<readonly [args: ReadonlyArray<Value>, block: Block]>>()
  readonly #reduced: ReadonlyMap<Reduction, Value>

  constructor(options: {
    readonly emission: Emission
    readonly space: Space
    readonly addresses: Addresses
    readonly stored: ReadonlySet<Buffer>
    readonly rowLevel: number
    /** What stands for the results of reductions. */
    readonly reduced: ReadonlyMap<Reduction, Value>
    readonly product?: { readonly buffer: Buffer; readonly at: Affine }
  }) {
    this.#emission = options.emission
    this.#space = options.space
    this.#addresses = options.addresses
    this.#stored = options.stored
    this.#rowLevel = options.rowLevel
    this.#reduced = options.reduced
    this.#product = options.product
  }

  /** From here on, elements that the loop stored are read again. */
  nextStage(): void {
    this.#fresh = new Map()
    this.#forwarded.clear()
  }

  /** In this stage, who reads the element that is stored there takes the Value itself. */
  forward(buffer: Buffer, at: Affine, value: Value): void {
    const places = this.#forwarded.get(buffer) ?? new Map<string, Value>()
    this.#forwarded.set(buffer, places.set(keyOf(at), value))
  }

  /** The Value of an expression, those that it is made of first: chains may be longer than the stack is deep. */
  value(root: Expression): Value {
    const stack = [root]
    for (let e = stack.at(-1); e !== undefined; e = stack.at(-1)) {
      const missing = this.#find(e) === undefined ? partsOf(e).filter((part) => this.#find(part) === undefined) : []
      if (missing.length === 0) {
        stack.pop()
        this.#settle(e)
      } else stack.push(...missing)
    }
    return this.#settle(root)
  }

  #find(expression: Expression): Value | undefined {
    return this.#known.get(expression) ?? this.#fresh.get(expression)
  }

  /** The Value of an expression whose parts are known. */
  #settle(expression: Expression): Value {
    const known = this.#find(expression)
    if (known !== undefined) return known
    const value = this.#lower(expression)
    const isFresh = this.#isFresh.has(value) || partsOf(expression).some((part) => this.#fresh.has(part))
    ;(isFresh ? this.#fresh : this.#known).set(expression, value)
    return value
  }

  #lower(e: Expression): Value {
    switch (e._tag) {
      case "Constant":
        return constant(e.value, e.dtype)
      case "Load":
        return this.#load(e.buffer, e.at)
      case "Product":
        if (this.#product === undefined) throw new Error("a product outside of an epilogue")
        return convert(this.#load(this.#product.buffer, this.#product.at), this.#product.buffer.dtype, e.dtype)
      case "LoadAt": {
        const { offset, slot } = this.#emission.place(e.buffer)
        const isStored = this.#stored.has(e.buffer)
        const index = this.#settle(e.index)
        const value = loadAt(this.#addresses.slot(slot), offset, index, e.dtype, isStored ? this.#rowLevel : 0)
        return isStored ? this.#mark(value) : value
      }
      case "Index":
        return indexValue(this.#addresses, e.at, this.#space)
      case "Apply":
        return this.#apply(e)
      case "Power":
        return integerPower(this.#settle(e.x), e.y, e.dtype)
      case "Convert":
        return convert(this.#settle(e.x), e.x.dtype, e.dtype)
      case "Bitcast":
        return bitcast(this.#settle(e.x), e.x.dtype, e.dtype)
      case "Reduced": {
        const value = this.#reduced.get(e.reduction)
        if (value === undefined) throw new Error("a reduction is used that is no stage of the loop")
        return value
      }
    }
  }

  #mark(value: Value): Value {
    this.#isFresh.add(value)
    return value
  }

  #load(buffer: Buffer, at: Affine): Value {
    const isStored = this.#stored.has(buffer)
    const address = this.#addresses.of(buffer, at)
    const key = keyOf(at)
    if (isStored) {
      return this.#mark(this.#forwarded.get(buffer)?.get(key) ?? load(address, buffer.dtype, this.#rowLevel))
    }
    const known = this.#loads.get(buffer)?.get(key)
    if (known !== undefined) return known
    const value = load(address, buffer.dtype, 0)
    const loads = this.#loads.get(buffer) ?? new Map<string, Value>()
    this.#loads.set(buffer, loads.set(key, value))
    return value
  }

  #apply({ args, op }: Extract<Expression, { readonly _tag: "Apply" }>): Value {
    const values = args.map((arg) => this.#settle(arg))
    if (op === "exp" && isBelowMaximum(args[0])) return narrow(expNegative(values[0]), args[0].dtype)
    if (op === "threefry_0" || op === "threefry_1") return this.#block(values)[op === "threefry_0" ? 0 : 1]
    return apply(op, values, args[op === "select" ? 1 : 0].dtype)
  }

  /** Both results of a block are computed at once. */
  #block(args: ReadonlyArray<Value>): Block {
    const known = this.#blocks.get(args[3])?.find(([others]) => others.every((other, k) => other === args[k]))
    if (known !== undefined) return known[1]
    const block = threefry(args[0], args[1], args[2], args[3])
    this.#blocks.set(args[3], [...this.#blocks.get(args[3]) ?? [], [args, block]])
    return block
  }
}
