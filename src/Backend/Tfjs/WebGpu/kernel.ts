/**
 * What a kernel is on a GPU: a function from an equation to one of
 *
 * - a *Source*: one shader, whose inputs and outputs are the equation's;
 * - an *Elementwise* expression, which also takes inputs that are spread (see below);
 * - a *Recipe*: several steps on a *Bench*, which gives scratch memory and clears up.
 *
 * A *spread* input is one word that stands for all elements: what a broadcast scalar is until someone needs its
 * elements.
 */
import type { Atom, EquationOf, Var } from "../../../Program/Program.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { ComputedPrimitive } from "../Device.ts"
import type { Allocation, Gpu } from "./Gpu.ts"
import type { Source } from "./source.ts"
import { type Word, wordBytes, wordOf } from "./words.ts"

/** Expressions for the outputs' elements, given expressions for the inputs' elements. */
export interface Elementwise {
  readonly _tag: "Elementwise"
  readonly name: string
  readonly inputs: ReadonlyArray<Word>
  readonly outputs: ReadonlyArray<Word>
  readonly expressions: (...inputs: ReadonlyArray<string>) => ReadonlyArray<string>
  /** Functions of this kernel alone. */
  readonly declarations?: string
}

/** Steps from the inputs' memory to the outputs', which it makes on the bench. */
export type Recipe = (bench: Bench, inputs: ReadonlyArray<Allocation>) => ReadonlyArray<Allocation>

/** An equation made ready. */
export type Plan = Source | Elementwise | Recipe

/** A kernel. */
export type GpuKernel<P extends ComputedPrimitive> = (equation: EquationOf<P>) => Plan

/** Kernels of some primitives. */
export type GpuKernels<P extends ComputedPrimitive> = { readonly [K in P]: GpuKernel<K> }

/** What kernels that do not look at parameters see of an equation. */
export interface Plain {
  readonly primitive: string
  readonly inputs: ReadonlyArray<Atom>
  readonly outputs: ReadonlyArray<Var>
}

/** Words of an equation's inputs. */
export const inputWords = (equation: Plain): ReadonlyArray<Word> => equation.inputs.map((a) => wordOf(a.aval.dtype))

/** Words of an equation's outputs. */
export const outputWords = (equation: Plain): ReadonlyArray<Word> => equation.outputs.map((v) => wordOf(v.aval.dtype))

/** Elements of an equation's output. */
export const sizeOf = (equation: Plain, output = 0): number => Shape.size(equation.outputs[output].aval.shape)

/** A name that tells shaders apart for people: the primitive and its inputs' shapes. */
export const nameOf = (equation: Plain): string =>
  `${equation.primitive} ${equation.inputs.map((a) => a.aval.dtype + Shape.format(a.aval.shape)).join(" ")}`

/** The shader of an Elementwise, for inputs that are spread or not. */
export const elementwiseSource = (e: Elementwise, spread: ReadonlyArray<boolean>): Source => {
  const values = e.expressions(...e.inputs.map((_, k) => `a${k}`))
  return {
    name: e.name,
    inputs: e.inputs,
    outputs: e.outputs,
    threads: "elements",
    ...(e.declarations === undefined ? {} : { declarations: e.declarations }),
    body: [
      ...e.inputs.map((_, k) => `let a${k} = x${k}[${spread[k] === true ? "0" : "i"}];`),
      ...values.map((value, k) => `y${k}[i] = ${value};`)
    ].join("\n")
  }
}

/** A shader that moves words about: what they mean does not matter, so they are u32. `body` writes `y0[i]`. */
export const moving = (equation: Plain, body: string, threads: number = sizeOf(equation)): Source => ({
  name: nameOf(equation),
  inputs: equation.inputs.map(() => "u32" as const),
  outputs: ["u32"],
  threads,
  body
})

/** Where a Recipe works: it makes memory and runs shaders; what is not an output at the end is freed. */
export class Bench {
  readonly gpu: Gpu
  readonly #made: Array<Allocation> = []
  constructor(gpu: Gpu) {
    this.gpu = gpu
  }

  /** Memory for so many elements. */
  make(elements: number): Allocation {
    const made = this.gpu.allocate(elements * wordBytes)
    this.#made.push(made)
    return made
  }

  /** Takes over memory that someone else made. */
  adopt(made: Allocation): Allocation {
    this.#made.push(made)
    return made
  }

  /** Runs a shader with outputs of these sizes, and gives them. */
  run(
    source: Source,
    inputs: ReadonlyArray<Allocation>,
    ...elements: ReadonlyArray<number>
  ): ReadonlyArray<Allocation> {
    const outputs = elements.map((n) => this.make(n))
    this.gpu.dispatch(source, inputs, outputs, elements[0])
    return outputs
  }

  /** A copy of all of some memory. */
  copy(from: Allocation): Allocation {
    const to = this.make(from.bytes / wordBytes)
    this.gpu.copy(from, 0, to, 0, from.bytes)
    return to
  }

  /** A word, as memory. */
  word(bits: number): Allocation {
    return this.gpu.constant(bits)
  }

  /** Runs a Recipe. */
  static run(gpu: Gpu, recipe: Recipe, inputs: ReadonlyArray<Allocation>): ReadonlyArray<Allocation> {
    const bench = new Bench(gpu)
    let kept: ReadonlyArray<Allocation> = []
    try {
      kept = recipe(bench, inputs)
      return kept
    } finally {
      for (const made of bench.#made) if (!kept.includes(made)) gpu.drop(made)
    }
  }
}
