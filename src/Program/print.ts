/**
 * Programs as text, in the notation of JAX's jaxprs:
 *
 * ```text
 * { lambda ; a:f32[2,3]. let b:f32[3] = reduce_sum[axes=(0,)] a in (b,) }
 * ```
 *
 * Variables are letters in order of appearance, one sequence for a Program and all Programs inside it, but for inputs and
 * outputs of a called function, which have the names that they have outside; an output that nothing uses is `_`;
 * constants carry their type. Parameters stand in order of name, as Python would print them, those that are null left
 * out. What fits in 100 columns stands on one line. An input that stands for a Variable of the model shows its kind,
 * `a:Param()`.
 */
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Structure } from "../Tensor/Tree.ts"
import { concat, type Document, group, join, line, nest, render, text } from "./document.ts"
import type { Primitive } from "./Primitive.ts"
import type { Atom, Equation, EquationOf, Program, Var } from "./Program.ts"
import { type Description, referencesIn } from "./references.ts"

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
    return tuple(u.map((x) => python(x, record)))
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

/** A tuple as Python prints it. */
const tuple = (items: ReadonlyArray<string>): string => items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`

/** `ShapedArray(int32[], weak_type=True)`. */
const abstractValue = ({ dtype, shape, weakType }: ShapedArray.ShapedArray): string =>
  `ShapedArray(${dtype}[${shape.join(",")}]${weakType ? ", weak_type=True" : ""})`

/** A tree without its leaves, as JAX prints a tree definition: `{'a': *, 'b': [*, *]}`. */
const treeDefinition = (structure: Structure): string => {
  switch (structure._tag) {
    case "Leaf":
      return "*"
    case "List":
      return `[${structure.items.map(treeDefinition).join(", ")}]`
    case "Dict":
      return `{${structure.keys.map((key, i) => `'${key}': ${treeDefinition(structure.items[i])}`).join(", ")}}`
    case "Static":
      return quoted(structure.value)
  }
}

/** A value as Python prints it, strings in quotes. */
const quoted = (u: unknown): string =>
  typeof u === "string" ? `'${u}'` : Array.isArray(u) ? tuple(u.map(quoted)) : python(u, "")

/** The name of a kind without those above it. */
const shortName = (kind: string): string => kind.slice(kind.lastIndexOf("/") + 1)

/** What a write of a Variable says: the tree of the new value inside the Variable with its metadata, and the kind. */
const writeParams = ({ kind, metadata, structure }: EquationOf<"set_variable">["params"]): ReadonlyArray<string> => {
  const entries = Object.keys(metadata).toSorted().map((key) => `('${key}', ${quoted(metadata[key])})`)
  const node = `${shortName(kind)}[${tuple(entries)}], [${treeDefinition(structure)}]`
  return [`treedef=PyTreeDef(CustomNode(${node}))`, `var_type=<kind '${kind}'>`]
}

class Printer {
  readonly #names = new Map<Var, string>()
  /** How many letters were given. */
  #given = 0
  readonly #variables: ReadonlyMap<Var, Description>

  constructor(variables: ReadonlyMap<Var, Description>) {
    this.#variables = variables
  }

  /** Gives Vars the names of others, which they are inside of a call. */
  #same(inside: ReadonlyArray<Atom>, outside: ReadonlyArray<Atom>): void {
    const taken = new Set<Var>()
    inside.forEach((v, i) => {
      const like = outside[i]
      if (v._tag !== "Var" || like._tag !== "Var" || taken.has(like) || this.#names.has(v)) return
      const name = this.#names.get(like)
      if (name === undefined) return
      taken.add(like)
      this.#names.set(v, name)
    })
  }

  /** `a:f32[2,3]`, or `a:Param()`. */
  #typed(v: Var): string {
    const variable = this.#variables.get(v)
    const type = variable === undefined ? ShapedArray.format(v.aval) : `${shortName(variable.kind)}()`
    return `${this.#name(v)}:${type}`
  }

  #name(v: Var): string {
    const known = this.#names.get(v)
    if (known !== undefined) return known
    const name = letters(this.#given++)
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
    const shown = this.#shownParams(equation)
    return shown.length === 0
      ? text("")
      : group(concat(nest(2, concat("[", line(""), join(line(), shown))), line(""), "]"))
  }

  #shownParams(equation: Equation): ReadonlyArray<Document> {
    if (equation.primitive === "get_variable") {
      return [text(`avals=${tuple(equation.outputs.map((v) => abstractValue(v.aval)))}`)]
    }
    if (equation.primitive === "set_variable") return writeParams(equation.params).map(text)
    if (equation.primitive === "jit") {
      this.#same(equation.params.program.inputs, equation.inputs)
      this.#same(equation.params.program.outputs, equation.outputs)
    }
    const hidden = implied[equation.primitive] ?? []
    const empty = equation.primitive === "broadcast_in_dim"
    const rename = programNames[equation.primitive] ?? {}
    const order = ([key]: readonly [string, unknown]) => key === "name" ? "" : rename[key] ?? key
    return Object.entries(equation.params)
      .filter(([key, value]) =>
        value !== null && value !== undefined && !hidden.includes(key) &&
        !(empty && Array.isArray(value) && value.length === 0)
      )
      .toSorted((a, b) => order(a) < order(b) ? -1 : 1)
      .map(([key, value]) => this.#param(equation, key, value))
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
    const inputs = program.inputs.map((v) => this.#typed(v))
    const head = inputs.length === 0 ? ["{ lambda ; . let"] : ["{ lambda ; ", this.#row(inputs), ". let"]
    const equations = join(line("; "), program.equations.map((e) => this.#equation(e, used)))
    const body = program.equations.length === 0 ? line("  ") : concat(nest(2, concat(line(), equations)), line())
    const outputs = concat(
      "(",
      this.#row(program.outputs.map((a) => this.#atom(a)), ","),
      program.outputs.length === 1 ? ",)" : ")"
    )
    return group(concat(nest(2, concat(...head, body, "in ", outputs)), " }"))
  }
}

/** How to print a Program. */
export interface FormatOptions {
  /** The columns that a line may have: 100 by default. */
  readonly width?: number
  /** The inputs that stand for Variables. */
  readonly variables?: ReadonlyMap<Var, Description>
}

/**
 * A Program as text, in the notation of JAX's jaxprs. See the header of this file.
 *
 * @category printing
 * @since 0.1.0
 */
export const format = (program: Program, options: FormatOptions = {}): string =>
  render(new Printer(referencesIn(program, options.variables ?? new Map())).program(program), options.width ?? 100)
