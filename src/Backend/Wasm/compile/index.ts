/**
 * From a Program to steps: flatten it, find the values that must be in memory (`roots.ts`), let clusters of the others
 * grow (`units.ts`), and write every unit as a kernel.
 */
import type { Program } from "../../../Program/Program.ts"
import type { DType } from "../../../Tensor/DType.ts"
import { unsupported } from "../../unsupported.ts"
import {
  type Buffer,
  type Carry,
  type Compiled,
  type Kernel,
  keyOf,
  type Loop,
  type Operand as KernelOperand,
  type Slice,
  type Step,
  type Store
} from "../ir.ts"
import { identityOver, linear, throughReshape, volume } from "./access.ts"
import { concatenate, type Copies, copy, matrixOf, pad } from "./assembly.ts"
import { MustBeRoot, type Work } from "./cluster.ts"
import { accumulated, Expressions, type Resolved } from "./expression.ts"
import { grouped, rememberTouched, type TouchedBy } from "./group.ts"
import { prepare } from "./prepare.ts"
import { type Node, type Operand, type Region, region as flatten, type Value } from "./region.ts"
import { constantOf, findRoots, type Roots, sourceOf } from "./roots.ts"
import { epilogueShape, type Unit, Units } from "./units.ts"

/** What all regions of a Program share while it is compiled. */
interface Compilation {
  /** How many buffers have a name. */
  buffers: number
  readonly touchedBy: TouchedBy
  readonly work: Work
}

/** Writes the steps of one region. */
class RegionCompiler {
  readonly #region: Region
  readonly #compilation: Compilation
  readonly #outer: ((value: Value) => Buffer) | undefined
  readonly #owned: ReadonlySet<Value>
  readonly #buffers = new Map<Value, Buffer>()
  /** Operands of products that had to be copied. */
  readonly #copies: Copies = new Map()
  readonly #steps: Array<Step> = []
  /** The first of the region's outputs that shows a value. */
  readonly #shown = new Map<Value, number>()
  /** Decided when the steps are written: what must be in memory. */
  #isRoot: Roots["isRoot"] = () => true

  constructor(region: Region, compilation: Compilation, outer?: (value: Value) => Buffer) {
    this.#region = region
    this.#compilation = compilation
    this.#outer = outer
    this.#owned = new Set([...region.inputs, ...region.nodes.flatMap((node) => node.outputs)])
    region.outputs.forEach((output, i) => {
      const source = output._tag === "Value" ? sourceOf(output, this.#owned) : undefined
      if (source !== undefined && !this.#shown.has(source)) this.#shown.set(source, i)
    })
  }

  /** Values that turn out to be uncomputable where they are used become roots, until there are none. */
  #decide(): Units {
    const forced = new Set<Value>()
    for (;;) {
      const found = findRoots(this.#region, this.#owned, forced)
      this.#isRoot = (value) => {
        this.#compilation.work.visits++
        return found.isRoot(value)
      }
      try {
        const units = new Units(this.#region, { ...found, isRoot: this.#isRoot }, {
          work: this.#compilation.work,
          bufferOf: (value) => this.bufferOf(value),
          local: (value, size) => ({ ...this.#make(value.aval.dtype, size), local: true })
        })
        units.merge()
        this.#probe(units)
        return units
      } catch (thrown) {
        if (!(thrown instanceof MustBeRoot) || thrown.values.every((value) => forced.has(value))) throw thrown
        for (const value of thrown.values) forced.add(value)
      }
    }
  }

  /** Writes what may still ask for a root, and throws it away. */
  #probe(units: Units): void {
    const forced: Array<Value> = []
    for (const { node } of units.ordered()) {
      try {
        if (node?.equation.primitive === "concatenate") concatenate(node, this.bufferOf(node.outputs[0]), this.#resolve)
        if (node?.equation.primitive === "pad") pad(node, this.bufferOf(node.outputs[0]), this.#resolve)
        if (node?.equation.primitive === "dot_general") this.#matrices(node, new Map(), () => {})
      } catch (thrown) {
        if (!(thrown instanceof MustBeRoot)) throw thrown
        forced.push(...thrown.values)
      }
    }
    if (forced.length > 0) throw new MustBeRoot(...forced)
  }

  #make(dtype: DType, size: number): Buffer {
    return { dtype, size, name: `b${this.#compilation.buffers++}` }
  }

  /** Where the elements of a value are. */
  bufferOf(value: Value): Buffer {
    const source = sourceOf(value, this.#owned)
    const known = this.#buffers.get(source)
    if (known !== undefined) return known
    if (!this.#owned.has(source)) {
      if (this.#outer === undefined) throw new Error("a region reads a value that nobody made")
      return this.#outer(source)
    }
    const made = this.#make(source.aval.dtype, volume(source.aval.shape))
    this.#buffers.set(source, made)
    return made
  }

  readonly #resolve = (value: Value): Resolved =>
    this.#isRoot(value) ? { _tag: "Buffer", buffer: this.bufferOf(value) } : { _tag: "Inline" }

  /** An operand of an irregular operation. */
  #operand(x: Operand): KernelOperand {
    const constant = constantOf(x)
    if (constant !== undefined) return { value: constant.value, dtype: constant.aval.dtype }
    return this.bufferOf(x as Value)
  }

  /** An operand in memory, whatever it is. */
  #inMemory(x: Operand): Buffer {
    if (x._tag === "Value" && this.#isRoot(sourceOf(x, this.#owned))) return this.bufferOf(x)
    const buffer = this.#make(x.aval.dtype, volume(x.aval.shape))
    this.#copy(x, buffer)
    return buffer
  }

  #run(kernel: Kernel): void {
    this.#steps.push({ _tag: "Run", kernel })
  }

  #copy(x: Operand, buffer: Buffer): void {
    if (buffer.size > 0) this.#run(copy("copy", x, buffer, this.#resolve))
  }

  /** Has the region's output i a buffer that no other output has, and that is not from outside? */
  #isOwnOutput(i: number): boolean {
    const output = this.#region.outputs[i]
    if (output._tag === "Literal") return false
    const source = sourceOf(output, this.#owned)
    if (source.node === undefined || !this.#owned.has(source)) return false
    return this.#shown.get(source) === i
  }

  /** The steps of the region, its inputs being in `inputs`, and its outputs written to `targets`. */
  into(inputs: ReadonlyArray<Buffer>, targets: ReadonlyArray<Buffer>): ReadonlyArray<Step> {
    this.#buffers.clear()
    this.#region.inputs.forEach((value, i) => this.#buffers.set(value, inputs[i]))
    this.#region.outputs.forEach((output, i) => {
      if (output._tag === "Value" && this.#isOwnOutput(i)) {
        this.#buffers.set(sourceOf(output, this.#owned), targets[i])
      }
    })
    this.#write()
    this.#region.outputs.forEach((output, i) => {
      if (!this.#isOwnOutput(i)) this.#copy(output, targets[i])
    })
    return this.#steps
  }

  /** The whole Program. */
  program(): Compiled {
    this.#write()
    const inputs = new Map(this.#region.inputs.map((value, i) => [value, i]))
    const outputs = this.#region.outputs.map((output, i): Compiled["outputs"][number] => {
      if (output._tag === "Literal") return { _tag: "Constant", value: output.value }
      const source = sourceOf(output, this.#owned)
      const index = inputs.get(source)
      if (index !== undefined) return { _tag: "Input", index }
      if (this.#isOwnOutput(i)) return { _tag: "Buffer", buffer: this.bufferOf(source) }
      const buffer = this.#make(output.aval.dtype, volume(output.aval.shape))
      this.#copy(output, buffer)
      return { _tag: "Buffer", buffer }
    })
    return { inputs: this.#region.inputs.map((value) => this.#buffers.get(value)), steps: this.#steps, outputs }
  }

  /** Writes the units. */
  #write(): void {
    const units = this.#decide()
    for (const unit of units.ordered()) this.#unit(unit, units)
    const keep = new Set(this.#region.outputs.flatMap((x) => x._tag === "Value" ? [this.bufferOf(x)] : []))
    this.#steps.splice(0, this.#steps.length, ...grouped(this.#steps, keep, this.#compilation.touchedBy))
  }

  #unit(unit: Unit, units: Units): void {
    const { node } = unit
    const loop = units.loopOf(unit)
    if (loop !== undefined) this.#run(loop)
    if (node !== undefined) this.#node(node, unit, units)
  }

  #loops(name: string, loops: ReadonlyArray<Loop>): void {
    if (loops.length === 1) this.#run(loops[0])
    else if (loops.length > 1) this.#run({ _tag: "Group", name, loops })
  }

  #node(node: Node, unit: Unit, units: Units): void {
    const { equation, inputs, outputs } = node
    switch (equation.primitive) {
      case "dot_general":
        return this.#dot(node, unit, units)
      case "conv_general_dilated": {
        if (volume(outputs[0].aval.shape) === 0) return
        const [x, y] = inputs.map((value) => this.#inMemory(value))
        const { epilogue, out } = this.#product(unit, units)
        return this.#run({ _tag: "Convolution", name: nameOf("conv", unit), equation, x, y, out, epilogue })
      }
      case "concatenate":
        return this.#loops("concatenate", concatenate(node, this.bufferOf(outputs[0]), this.#resolve))
      case "pad": {
        const { first, second } = pad(node, this.bufferOf(outputs[0]), this.#resolve)
        this.#loops("pad", first)
        return this.#loops("pad", second)
      }
      case "scan":
        return this.#scan(node)
      case "while":
        return this.#while(node)
      case "cond": {
        const buffers = outputs.map((value) => this.bufferOf(value))
        const branches = node.bodies.map((body) => this.#child(body).into([], buffers))
        this.#steps.push({ _tag: "Cond", index: this.#inMemory(inputs[0]), branches, outputs: buffers })
        return
      }
      case "debug_callback": {
        const { callback } = equation.params
        const avals = inputs.map((x) => x.aval)
        this.#steps.push({ _tag: "Callback", inputs: inputs.map((x) => this.#operand(x)), callback, avals })
        return
      }
      case "psum":
      case "pmax":
      case "pmin":
      case "all_gather":
      case "axis_index":
      case "get_variable":
      case "set_variable":
      case "custom_lin":
        throw unsupported("wasm", equation)
      default:
        if (outputs.every((value) => volume(value.aval.shape) === 0)) return
        return this.#run({
          _tag: "Irregular",
          name: equation.primitive,
          equation,
          inputs: inputs.map((x) => this.#operand(x)),
          outputs: outputs.map((value) => this.bufferOf(value))
        })
    }
  }

  /** Where a product is accumulated, and what is done with it. */
  #product(unit: Unit, units: Units): { readonly out: Buffer; readonly epilogue: ReadonlyArray<Store> } {
    const node = unit.node as Node
    const [value] = node.outputs
    const { dtype, shape } = value.aval
    const wide = accumulated(dtype)
    const stores = [...unit.epilogue?.stores ?? []]
    const isNeeded = units.isProductNeeded(unit)
    if (wide === dtype) {
      const out = isNeeded ? this.bufferOf(value) : this.#make(wide, volume(shape))
      return { out, epilogue: stores }
    }
    const out = this.#make(wide, volume(shape))
    if (!isNeeded) return { out, epilogue: stores }
    const space = epilogueShape(node)
    const all = identityOver(space)
    const at = linear(all, space.length)
    const narrow = new Expressions(space, () => ({ _tag: "Product", place: keyOf(at) }))
    const own = { buffer: this.bufferOf(value), at, value: narrow.at(value, throughReshape(all, shape, space.length)) }
    return { out, epilogue: [own, ...stores] }
  }

  #matrices(node: Node, copies: Copies, run: (loop: Loop) => void) {
    if (node.equation.primitive !== "dot_general") throw new Error("only products have matrices")
    const { batch, contracting } = node.equation.params.dimension_numbers
    const [x, y] = node.inputs.map((operand, side) => {
      const { shape } = operand.aval
      const free = shape.flatMap((_, i) => batch[side].includes(i) || contracting[side].includes(i) ? [] : [i])
      const parts = { batch: batch[side], free, contracting: contracting[side] }
      return matrixOf(operand, parts, side === 0, this.#resolve, copies, (makeLoop) => {
        const buffer = this.#make(operand.aval.dtype, volume(shape))
        run(makeLoop(buffer))
        return buffer
      })
    })
    return { x, y }
  }

  #dot(node: Node, unit: Unit, units: Units): void {
    if (node.equation.primitive !== "dot_general") return
    const shape = epilogueShape(node)
    if (volume(node.outputs[0].aval.shape) === 0) return
    const { contracting: [contracting] } = node.equation.params.dimension_numbers
    const k = volume(contracting.map((axis) => node.inputs[0].aval.shape[axis]))
    const { x, y } = this.#matrices(node, this.#copies, (loop) => this.#run(loop))
    const { epilogue, out } = this.#product(unit, units)
    const [m, n] = shape.slice(-2)
    this.#run({ _tag: "Dot", name: nameOf("dot", unit), batch: shape.slice(0, -2), m, n, k, x, y, out, epilogue })
  }

  #child(body: Region): RegionCompiler {
    return new RegionCompiler(body, this.#compilation, (value) => this.bufferOf(value))
  }

  #fresh(value: Operand): Buffer {
    return this.#make(value.aval.dtype, volume(value.aval.shape))
  }

  #scan(node: Node): void {
    if (node.equation.primitive !== "scan") return
    const { length, num_carry: count, num_consts: consts, reverse } = node.equation.params
    const [body] = node.bodies
    const carries = body.inputs.slice(0, count).map((input, i): Carry => ({
      init: this.#inMemory(node.inputs[consts + i]),
      current: this.#fresh(input),
      next: this.#fresh(input),
      result: this.bufferOf(node.outputs[i])
    }))
    const xs = body.inputs.slice(count).map((input, i): Slice => ({
      whole: this.#inMemory(node.inputs[consts + count + i]),
      slice: this.#fresh(input)
    }))
    const ys = body.outputs.slice(count).map((output, i): Slice => ({
      whole: this.bufferOf(node.outputs[count + i]),
      slice: this.#fresh(output)
    }))
    const steps = this.#child(body).into(
      [...carries.map((c) => c.current), ...xs.map((x) => x.slice)],
      [...carries.map((c) => c.next), ...ys.map((y) => y.slice)]
    )
    this.#steps.push({ _tag: "Scan", length, reverse, carries, xs, ys, body: steps })
  }

  #while(node: Node): void {
    if (node.equation.primitive !== "while") return
    const { body_consts: bodyConsts, cond_consts: condConsts } = node.equation.params
    const [cond, body] = node.bodies
    const carries = body.inputs.map((input, i): Carry => ({
      init: this.#inMemory(node.inputs[condConsts + bodyConsts + i]),
      current: this.#fresh(input),
      next: this.#fresh(input),
      result: this.bufferOf(node.outputs[i])
    }))
    const current = carries.map((c) => c.current)
    const holds = this.#make("bool", 1)
    this.#steps.push({
      _tag: "While",
      carries,
      condition: this.#child(cond).into(current, [holds]),
      holds,
      body: this.#child(body).into(current, carries.map((c) => c.next))
    })
  }
}

const nameOf = (primitive: string, unit: Unit): string =>
  [primitive, ...new Set((unit.epilogue?.roots ?? []).map((root) => root.node?.equation.primitive ?? ""))].join("_")

/** Compiles a simplified Program. Throws `UnsupportedOperation`. `work` counts what was looked at on the way. */
export const compile = (program: Program, work: Work = { visits: 0 }): Compiled =>
  new RegionCompiler(flatten(prepare(program)), { buffers: 0, touchedBy: rememberTouched(), work }).program()
