/** Kernels and steps as text, for people: index spaces, stages, expressions. */
import type { Affine, Buffer, Compiled, Expression, Kernel, Loop, Matrix, Operand, Stage, Step, Store } from "./ir.ts"

const letters = "ijklmnopqrstuvwxyz"

const index = (d: number): string => letters[d] ?? `i${d}`

const affine = ({ offset, strides }: Affine): string => {
  const terms = strides.flatMap((s, d) =>
    s === 0 ? [] : [s === 1 ? index(d) : s === -1 ? `-${index(d)}` : `${s}${index(d)}`]
  )
  const all = offset !== 0 || terms.length === 0 ? [...terms, String(offset)] : terms
  return all.join("+").replaceAll("+-", "-")
}

const infix: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  and: "&",
  or: "|",
  xor: "^"
}

const operandsOf = (e: Expression): ReadonlyArray<Expression> =>
  e._tag === "Apply" ? e.args : "x" in e ? [e.x] : e._tag === "LoadAt" ? [e.index] : []

class Printer {
  readonly #buffers = new Map<Buffer, string>()

  /** Buffers are numbered as they come. */
  #name(buffer: Buffer): string {
    const known = this.#buffers.get(buffer)
    if (known !== undefined) return known
    const name = `b${this.#buffers.size}`
    this.#buffers.set(buffer, name)
    return name
  }

  /** A buffer with its type and size. */
  whole(buffer: Buffer | undefined): string {
    return buffer === undefined ? "_" : `${this.#name(buffer)}:${buffer.dtype}[${buffer.size}]`
  }

  readonly #reductions = new Map<object, string>()

  #reduction(reduction: object): string {
    const known = this.#reductions.get(reduction)
    if (known !== undefined) return known
    const name = `r${this.#reductions.size}`
    this.#reductions.set(reduction, name)
    return name
  }

  /** Expressions that are used more than once, by their names in the current kernel. */
  readonly #shared = new Map<Expression, string>()

  expression(e: Expression): string {
    return this.#shared.get(e) ?? this.#whole(e)
  }

  #whole(e: Expression): string {
    switch (e._tag) {
      case "Load":
        return `${this.#name(e.buffer)}[${affine(e.at)}]`
      case "LoadAt":
        return `${this.#name(e.buffer)}[${this.expression(e.index)}]`
      case "Constant":
        return String(e.value)
      case "Index":
        return affine(e.at)
      case "Apply": {
        const args = e.args.map((x) => this.expression(x))
        return e.op in infix ? `(${args.join(` ${infix[e.op]} `)})` : `${e.op}(${args.join(", ")})`
      }
      case "Power":
        return `${this.expression(e.x)}^${e.y}`
      case "Convert":
        return `${e.dtype}(${this.expression(e.x)})`
      case "Bitcast":
        return `bits ${e.dtype}(${this.expression(e.x)})`
      case "Reduced":
        return this.#reduction(e.reduction)
      case "Product":
        return "product"
    }
  }

  /** Lines that name what is used more than once below these expressions, and was not named before. */
  #names(values: ReadonlyArray<Expression>): ReadonlyArray<string> {
    const uses = new Map<Expression, number>()
    const order: Array<Expression> = []
    const visit = (e: Expression): void => {
      const count = uses.get(e) ?? 0
      uses.set(e, count + 1)
      if (count > 0) return
      operandsOf(e).forEach(visit)
      order.push(e)
    }
    values.forEach(visit)
    return order.flatMap((e) => {
      if ((uses.get(e) ?? 0) < 2 || operandsOf(e).length === 0 || this.#shared.has(e)) return []
      const text = this.#whole(e)
      const name = `t${this.#shared.size}`
      this.#shared.set(e, name)
      return [`${name} = ${text}`]
    })
  }

  #stores(stores: ReadonlyArray<Store>): ReadonlyArray<string> {
    return [
      ...this.#names(stores.map((s) => s.value)),
      ...stores.map((s) => `${this.#name(s.buffer)}:${s.buffer.dtype}[${affine(s.at)}] = ${this.expression(s.value)}`)
    ]
  }

  #stage(stage: Stage): ReadonlyArray<string> {
    switch (stage._tag) {
      case "Reduce":
        return [
          ...this.#names([stage.value]),
          `${this.#reduction(stage)} = ${stage.combine} ${this.expression(stage.value)}`
        ]
      case "Map":
        return this.#stores(stage.stores)
      case "Close":
        return this.#stores(stage.stores).map((text) => `once: ${text}`)
    }
  }

  loop(loop: Loop): ReadonlyArray<string> {
    const head = `loop ${loop.name} [${loop.outer.join(",")}]${
      loop.inner.length === 0 ? "" : ` x [${loop.inner.join(",")}]`
    }`
    return [head, ...loop.stages.flatMap((stage) => this.#stage(stage)).map((line) => `  ${line}`)]
  }

  #matrix(m: Matrix): string {
    return `${this.#name(m.buffer)}(${[...m.batch, m.row, m.column].join(",")})${m.offset === 0 ? "" : `+${m.offset}`}`
  }

  #operand(x: Operand): string {
    return "name" in x ? this.#name(x) : String(x.value)
  }

  kernel(kernel: Kernel): ReadonlyArray<string> {
    switch (kernel._tag) {
      case "Loop":
        return this.loop(kernel)
      case "Group":
        return [`group ${kernel.name}`, ...kernel.loops.flatMap((loop) => this.loop(loop)).map((line) => `  ${line}`)]
      case "Dot": {
        const sizes = [...kernel.batch, kernel.m, kernel.n, kernel.k].join("x")
        const head = `dot ${kernel.name} ${sizes} ${this.#name(kernel.out)} = ${this.#matrix(kernel.x)} @ ${
          this.#matrix(kernel.y)
        }`
        return [head, ...this.#stores(kernel.epilogue).map((line) => `  ${line}`)]
      }
      case "Convolution":
        return [
          `convolution ${kernel.name} ${this.#name(kernel.out)} = ${this.#name(kernel.x)} * ${this.#name(kernel.y)}`,
          ...this.#stores(kernel.epilogue).map((line) => `  ${line}`)
        ]
      case "Irregular":
        return [
          `${kernel.name} ${kernel.outputs.map((b) => this.#name(b)).join(", ")} = ${
            kernel.inputs.map((x) => this.#operand(x)).join(", ")
          }`
        ]
    }
  }

  step(step: Step): ReadonlyArray<string> {
    const nested = (steps: ReadonlyArray<Step>) => steps.flatMap((s) => this.step(s)).map((line) => `  ${line}`)
    switch (step._tag) {
      case "Run":
        return this.kernel(step.kernel)
      case "Scan":
        return [
          `scan ${step.length}${step.reverse ? " backwards" : ""}`,
          ...step.carries.map((c) =>
            `  ${this.#name(c.current)} from ${this.#name(c.init)} by ${this.#name(c.next)} to ${this.#name(c.result)}`
          ),
          ...step.xs.map((x) => `  ${this.#name(x.slice)} in ${this.#name(x.whole)}`),
          ...step.ys.map((y) => `  ${this.#name(y.slice)} out ${this.#name(y.whole)}`),
          ...nested(step.body)
        ]
      case "While":
        return [
          "while",
          ...step.carries.map((c) =>
            `  ${this.#name(c.current)} from ${this.#name(c.init)} by ${this.#name(c.next)} to ${this.#name(c.result)}`
          ),
          ...nested(step.condition),
          `  ${this.#name(step.holds)} do`,
          ...nested(step.body)
        ]
      case "Cond":
        return [
          `cond ${this.#name(step.index)}`,
          ...step.branches.flatMap((branch, i) => [`  case ${i}`, ...nested(branch)])
        ]
      case "Callback":
        return [`callback ${step.inputs.map((x) => this.#operand(x)).join(", ")}`]
    }
  }
}

/** A compiled Program as text. */
export const format = (compiled: Compiled): string => {
  const printer = new Printer()
  const inputs = compiled.inputs.map((b) => printer.whole(b))
  const steps = compiled.steps.flatMap((step) => printer.step(step))
  const outputs = compiled.outputs.map((o) =>
    o._tag === "Buffer" ? printer.whole(o.buffer) : o._tag === "Input" ? `input ${o.index}` : String(o.value)
  )
  return [`inputs ${inputs.join(", ")}`, ...steps, `outputs ${outputs.join(", ")}`].join("\n")
}

/** How many kernels a compiled Program has, those in loops counted once. */
export const kernelCount = (steps: ReadonlyArray<Step>): number =>
  steps.reduce((n, step) => {
    switch (step._tag) {
      case "Run":
        return n + 1
      case "Scan":
        return n + kernelCount(step.body)
      case "While":
        return n + kernelCount(step.condition) + kernelCount(step.body)
      case "Cond":
        return n + step.branches.reduce((m, branch) => m + kernelCount(branch), 0)
      case "Callback":
        return n
    }
  }, 0)
