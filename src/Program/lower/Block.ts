/**
 * A block under construction, and what a *lowering* is: a function that writes the operations of one equation into a
 * block.
 *
 * A lowering may also say what it means by a function of Tensors (`inline`, `region`, `call`): that is traced to a
 * Program, which is lowered in its turn. So a comparator or an expansion is written once, as an ordinary function of
 * arrays.
 */
import type { DType } from "../../Tensor/DType.ts"
import * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { closedProgram } from "../build.ts"
import { equals } from "../equality.ts"
import { Environment } from "../evaluate.ts"
import type { Primitive } from "../Primitive.ts"
import type { Atom, EquationOf, Program } from "../Program.ts"
import { type Func, type Operation, type Part, type Region, symbol, type Value, value } from "./operation.ts"
import { formatElement, formatResults, formatType, formatTypes, type Type, typeOf } from "./text.ts"

/** Writes one application of P; gives its outputs. */
export type Lowering<P extends Primitive> = (
  block: Block,
  inputs: ReadonlyArray<Value>,
  equation: EquationOf<P>
) => ReadonlyArray<Value>

/** A lowering for every one of the primitives P: a missing one does not compile. */
export type LoweringTable<P extends Primitive> = { readonly [K in P]: Lowering<K> }

/** A function of Tensors. */
export type Meaning = (xs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>

/** The functions of a module, made as they are called. */
export class Functions {
  readonly all: Array<Func | undefined> = []
  readonly table: LoweringTable<Primitive>
  readonly #names = new Set<string>(["main"])
  readonly #made: Array<{ readonly name: string; readonly program: Program; readonly free: string }> = []

  constructor(table: LoweringTable<Primitive>) {
    this.table = table
  }

  /** The name of the private function that is `program`; equal ones of one name are made once. */
  named(name: string, program: Program): string {
    const known = this.#made.find((f) => f.name === name && equals(f.program, program))
    if (known !== undefined) return known.free
    let free = name
    for (let i = 0; this.#names.has(free); i++) free = `${name}_${i}`
    this.#names.add(free)
    this.#made.push({ name, program, free })
    // Functions stand in the order in which they are first called, so the place is taken before the body is written.
    const at = this.all.push(undefined) - 1
    const block = new Block(this, false)
    const args = program.inputs.map((v) => value(v.aval))
    const outputs = block.program(program, args)
    const port = (x: Value) => ({ value: x, attributes: [] })
    this.all[at] = {
      name: free,
      public: false,
      inputs: args.map(port),
      outputs: outputs.map(port),
      operations: block.operations
    }
    return free
  }
}

/** A block of operations, growing. */
export class Block {
  readonly operations: Array<Operation> = []
  readonly #functions: Functions
  readonly #nested: boolean

  constructor(functions: Functions, nested: boolean) {
    this.#functions = functions
    this.#nested = nested
  }

  /** Writes an operation with these results. */
  emit(
    types: ReadonlyArray<Type>,
    parts: ReadonlyArray<Part>,
    hints: ReadonlyArray<string> = []
  ): ReadonlyArray<Value> {
    const results = types.map(value)
    this.operations.push({ results, parts, hints })
    return results
  }

  /** Writes an operation with one result. */
  one(type: Type, ...parts: ReadonlyArray<Part>): Value {
    return this.emit([type], parts)[0]
  }

  /** `name %a, %b rest : (types) -> type`: the form of operations whose operands and result differ in type. */
  apply(name: string, inputs: ReadonlyArray<Value>, type: Type, rest = ""): Value {
    return this.one(type, `stablehlo.${name} `, ...list(inputs), `${rest} : ${signature(inputs, [type])}`)
  }

  /** A scalar constant. */
  scalar(x: number, dtype: DType): Value {
    const type = typeOf([], dtype)
    const hint = dtype === "float64" || dtype.includes("float") ? "cst" : "c"
    return this.emit([type], [`stablehlo.constant dense<${formatElement(x, dtype)}> : ${formatType(type)}`], [hint])[0]
  }

  /** An array of equal elements. */
  splat(x: number, type: Type): Value {
    return this.broadcast(this.scalar(x, type.dtype), type, [])
  }

  /** The operand broadcast; itself if it has the type already. */
  broadcast(x: Value, type: Type, dims: ReadonlyArray<number>): Value {
    return x.type.shape.length === type.shape.length && x.type.shape.every((d, i) => d === type.shape[i])
      ? x
      : this.apply("broadcast_in_dim", [x], type, `, dims = [${dims.join(", ")}]`)
  }

  /** Applies a function of Tensors: its operations are written here. */
  inline(f: Meaning, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> {
    return this.program(meaning(f, inputs.map((x) => x.type)), inputs)
  }

  /** Calls a function of Tensors. */
  callMeaning(name: string, f: Meaning, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> {
    return this.call(name, meaning(f, inputs.map((x) => x.type)), inputs)
  }

  /** Calls a Program as a private function. */
  call(name: string, program: Program, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> {
    const callee = this.#functions.named(name, program)
    const types = program.outputs.map((o) => o.aval)
    return this.emit(types, [
      `${this.#nested ? "func." : ""}call ${symbol(callee)}(`,
      ...list(inputs),
      `) : ${signature(inputs, types)}`
    ])
  }

  /** A region with arguments of these types that computes a function of Tensors. */
  region(types: ReadonlyArray<Type>, f: Meaning): Region {
    const args = types.map(value)
    return this.regionOf(args, (block) => block.program(meaning(f, types), args))
  }

  /** A region that ends by returning what `write` gives. */
  regionOf(
    args: ReadonlyArray<Value>,
    write: (block: Block) => ReadonlyArray<Value>,
    options: { readonly hint?: string; readonly header?: boolean } = {}
  ): Region {
    const block = new Block(this.#functions, true)
    const outputs = write(block)
    const types = outputs.length === 0 ? "" : ` : ${formatTypes(outputs.map((x) => x.type))}`
    block.emit([], [outputs.length === 0 ? "stablehlo.return" : "stablehlo.return ", ...list(outputs), types])
    return {
      _tag: "Region",
      arguments: args,
      hint: options.hint,
      header: options.header ?? true,
      operations: block.operations
    }
  }

  /** Writes all equations of a Program; gives its outputs. A literal is a constant wherever it is used. */
  program(program: Program, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> {
    const env = new Environment<Value>(() => {
      throw new Error("literals are written by the block")
    })
    env.writeAll(program.inputs, inputs)
    const read = (atom: Atom): Value => atom._tag === "Literal" ? this.splat(atom.value, atom.aval) : env.read(atom)
    for (const equation of program.equations) {
      env.writeAll(equation.outputs, this.#equation(equation, equation.inputs.map(read)))
    }
    return program.outputs.map(read)
  }

  #equation<P extends Primitive>(equation: EquationOf<P>, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> {
    return this.#functions.table[equation.primitive](this, inputs, equation)
  }
}

/** The Program of a function of Tensors. */
const meaning = (f: Meaning, types: ReadonlyArray<Type>): Program =>
  closedProgram("lower", types.map((t) => ShapedArray.make(t.shape, t.dtype)), (args) => f(args))

/** Values with commas between them. */
export const list = (xs: ReadonlyArray<Value>): ReadonlyArray<Part> => xs.flatMap((x, i) => i === 0 ? [x] : [", ", x])

/** `(tensor<2xf32>) -> tensor<f32>`. */
export const signature = (inputs: ReadonlyArray<Value>, outputs: ReadonlyArray<Type>): string =>
  `(${formatTypes(inputs.map((x) => x.type))}) -> ${formatResults(outputs)}`
