/**
 * Programs as text, in the notation of JAX's jaxprs:
 *
 * ```text
 * { lambda ; a:f32[2,3] . let b:f32[3] = reduce_sum[axes=(0,)] a in (b) }
 * ```
 *
 * Variables are letters in order of appearance, one sequence for a Program and all Programs inside it; an output that
 * nothing uses is `_`; constants carry their type. Parameters stand in order of name, as Python would print them, those
 * that are null left out. What fits in 100 columns stands on one line.
 */
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { concat, type Document, group, join, line, nest, render, text } from "./document.ts"
import type { Primitive } from "./Primitive.ts"
import type { Atom, Equation, Program, Var } from "./Program.ts"

/** JAX prints these names with a hyphen. */
const names: { readonly [P in Primitive]?: string } = {
  scatter_add: "scatter-add",
  scatter_mul: "scatter-mul",
  scatter_min: "scatter-min",
  scatter_max: "scatter-max"
}

/** What JAX calls the Programs among the parameters. */
const programNames: { readonly [P in Primitive]?: Readonly<Record<string, string>> } = {
  jit: { program: "jaxpr" },
  checkpoint: { program: "jaxpr" },
  scan: { program: "jaxpr" },
  while: { cond: "cond_jaxpr", body: "body_jaxpr", cond_consts: "cond_nconsts", body_consts: "body_nconsts" },
  custom_jvp_call: { program: "call_jaxpr" },
  custom_vjp_call: { program: "call_jaxpr" }
}

/** Parameters that the type of the result or the name says already. */
const implied: { readonly [P in Primitive]?: ReadonlyArray<string> } = {
  broadcast_in_dim: ["shape"],
  custom_jvp_call: ["rule"],
  custom_vjp_call: ["rule"],
  custom_lin: ["rule"]
}

/** What JAX calls the records among the parameters. */
const recordNames: { readonly [P in Primitive]?: string } = {
  gather: "GatherDimensionNumbers",
  scatter: "ScatterDimensionNumbers",
  scatter_add: "ScatterDimensionNumbers",
  scatter_mul: "ScatterDimensionNumbers",
  scatter_min: "ScatterDimensionNumbers",
  scatter_max: "ScatterDimensionNumbers",
  conv_general_dilated: "ConvDimensionNumbers"
}

/** A float as Python's `repr` has it: `1.0`, `1e-05`, `inf`. */
const float = (x: number): string => {
  if (Number.isNaN(x)) return "nan"
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf"
  const [digits, power] = x.toExponential().split("e")
  const exponent = Number(power)
  if (x !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`
  }
  const plain = Object.is(x, -0) ? "-0" : String(x)
  return plain.includes(".") ? plain : `${plain}.0`
}

const constant = (x: Extract<Atom, { readonly _tag: "Literal" }>): string => {
  const { dtype } = x.aval
  if (dtype === "bool") return x.value === 0 ? "False" : "True"
  return dtype.includes("float") ? float(x.value) : String(x.value)
}

/** A value as Python prints it. */
const python = (u: unknown, record: string): string => {
  if (u === null || u === undefined) return "None"
  if (typeof u === "boolean") return u ? "True" : "False"
  if (typeof u === "number") return Number.isInteger(u) ? String(u) : float(u)
  if (typeof u === "string") return u
  if (typeof u === "function") return u.name === "" ? "<lambda>" : `<${u.name}>`
  if (Array.isArray(u)) {
    const items = u.map((x) => python(x, record))
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`
  }
  return `${record}(${Object.entries(u).map(([k, v]) => `${k}=${python(v, record)}`).join(", ")})`
}

/** Axis numbers of a dot product: pairs of lists. */
const list = (axes: ReadonlyArray<number>): string => `[${axes.join(", ")}]`

/** Letters a, b, …, z, aa, ab, … */
const letters = (n: number): string => {
  const last = String.fromCharCode(97 + n % 26)
  return n < 26 ? last : letters(Math.floor(n / 26) - 1) + last
}

class Printer {
  readonly #names = new Map<Var, string>()

  #name(v: Var): string {
    const known = this.#names.get(v)
    if (known !== undefined) return known
    const name = letters(this.#names.size)
    this.#names.set(v, name)
    return name
  }

  #atom(a: Atom): string {
    return a._tag === "Var" ? this.#name(a) : `${constant(a)}:${ShapedArray.format(a.aval)}`
  }

  /** Words in a row, which may go on in the next line, between any two. */
  #row(words: ReadonlyArray<string>, separator = ""): Document {
    return nest(2, group(join(concat(separator, group(line())), words.map(text))))
  }

  #param(equation: Equation, key: string, value: unknown): Document {
    const shown = programNames[equation.primitive]?.[key] ?? key
    if (equation.primitive === "cond") {
      const branches = equation.params.branches.map((b) => this.program(b))
      return concat(`${shown}=(`, nest(2, concat(line(""), join(line(), branches))), line(""), ")")
    }
    if (equation.primitive === "dot_general" && key === "dimension_numbers") {
      const { batch, contracting } = equation.params.dimension_numbers
      return text(
        `${shown}=((${contracting.map(list).join(", ")}), (${batch.map(list).join(", ")}))`
      )
    }
    if (key === "mode" && typeof value === "string") return text(`${shown}=GatherScatterMode.${value.toUpperCase()}`)
    if (typeof value === "object" && value !== null && "equations" in value) {
      return concat(`${shown}=`, this.program(value as Program))
    }
    return text(`${shown}=${python(value, recordNames[equation.primitive] ?? "")}`)
  }

  #params(equation: Equation): Document {
    const hidden = implied[equation.primitive] ?? []
    const empty = equation.primitive === "broadcast_in_dim"
    const rename = programNames[equation.primitive] ?? {}
    const order = ([key]: readonly [string, unknown]) => key === "name" ? "" : rename[key] ?? key
    const shown = Object.entries(equation.params)
      .filter(([key, value]) =>
        value !== null && value !== undefined && !hidden.includes(key) &&
        !(empty && Array.isArray(value) && value.length === 0)
      )
      .toSorted((a, b) => order(a) < order(b) ? -1 : 1)
      .map(([key, value]) => this.#param(equation, key, value))
    return shown.length === 0
      ? text("")
      : group(concat(nest(2, concat("[", line(""), join(line(), shown))), line(""), "]"))
  }

  #equation(equation: Equation, used: ReadonlySet<Var>): Document {
    const bound = equation.outputs.map((v) => `${used.has(v) ? this.#name(v) : "_"}:${ShapedArray.format(v.aval)}`)
    const primitive = names[equation.primitive] ?? equation.primitive
    return concat(
      ...(bound.length === 0 ? [] : [this.#row(bound), " = "]),
      primitive,
      this.#params(equation),
      ...(equation.inputs.length === 0 ? [] : [" ", this.#row(equation.inputs.map((a) => this.#atom(a)))])
    )
  }

  program(program: Program): Document {
    const used = new Set<Var>()
    const use = (a: Atom): void => {
      if (a._tag === "Var") used.add(a)
    }
    for (const equation of program.equations) equation.inputs.forEach(use)
    program.outputs.forEach(use)
    const inputs = program.inputs.map((v) => `${this.#name(v)}:${ShapedArray.format(v.aval)}`)
    const head = inputs.length === 0 ? ["{ lambda ; . let"] : ["{ lambda ; ", this.#row(inputs), " . let"]
    const equations = join(line("; "), program.equations.map((e) => this.#equation(e, used)))
    const body = program.equations.length === 0 ? line("  ") : concat(nest(2, concat(line(), equations)), line())
    const outputs = concat("(", this.#row(program.outputs.map((a) => this.#atom(a)), ","), ")")
    return group(concat(nest(2, concat(...head, body, "in ", outputs)), " }"))
  }
}

/**
 * A Program as text, in the notation of JAX's jaxprs. See the header of this file.
 *
 * @category printing
 * @since 0.1.0
 */
export const format = (program: Program, width = 100): string => render(new Printer().program(program), width)
