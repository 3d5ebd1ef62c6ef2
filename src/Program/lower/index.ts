/**
 * Programs as StableHLO text, the input language of XLA. One table holds the lowering of every primitive.
 */
import type { Primitive } from "../Primitive.ts"
import type { Program } from "../Program.ts"
import { Block, Functions, type LoweringTable } from "./Block.ts"
import { control } from "./control.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { printModule, value } from "./operation.ts"
import { products } from "./products.ts"
import { random } from "./random.ts"
import { reduction } from "./reduction.ts"
import { shaping } from "./shaping.ts"
import { sorting } from "./sorting.ts"
import { window } from "./window.ts"

/** The lowering of every primitive: one without does not compile here. */
export const lowerings: LoweringTable<Primitive> = {
  ...elementwise,
  ...shaping,
  ...reduction,
  ...products,
  ...window,
  ...indexing,
  ...sorting,
  ...random,
  ...control
}

/** What the text says of inputs and outputs beyond their types. */
export interface Ports {
  /** For an input whose buffer an output takes over: the position of that output. */
  readonly aliases?: ReadonlyMap<number, number>
  /** What each output is (`jax.result_info`). By default `result`, or `result[i]` of several. */
  readonly results?: ReadonlyArray<string>
}

/**
 * A Program as the text of a StableHLO module `@jit_<name>`, whose public function `@main` it is. Values and operations
 * are written as JAX writes them; `chlo` operations stand for functions that XLA expands.
 *
 * A callback is a custom call `@linum_callback` with its name as `backend_config`: whoever runs the module registers
 * that. Throws a `TraceError` that names the primitive for a collective without its axis.
 *
 * @category printing
 * @since 0.1.0
 */
export const toStableHlo = (program: Program, name = "main", ports: Ports = {}): string => {
  const functions = new Functions(lowerings)
  const main = new Block(functions, false)
  const inputs = program.inputs.map((v) => value(v.aval))
  const outputs = main.program(program, inputs)
  const info = (i: number): string => ports.results?.[i] ?? (outputs.length === 1 ? "result" : `result[${i}]`)
  return printModule(`jit_${name}`, [
    {
      name: "main",
      public: true,
      inputs: inputs.map((x, i) => {
        const alias = ports.aliases?.get(i)
        return { value: x, attributes: alias === undefined ? [] : [`tf.aliasing_output = ${alias} : i32`] }
      }),
      outputs: outputs.map((x, i) => ({ value: x, attributes: [`jax.result_info = ${JSON.stringify(info(i))}`] })),
      operations: main.operations
    },
    ...functions.all.filter((f) => f !== undefined)
  ])
}
