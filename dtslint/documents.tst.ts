import { Effect } from "effect"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import * as L from "../src/Layer/index.ts"
import { Module } from "../src/Ref/Module.ts"
import { Intermediate, kind, Param, Perturbation, type Variable } from "../src/Ref/Variable.ts"
import { Filter, type KindsOf, type VariableState } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"

type Ok<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

const Count = kind("Count")

/** The model of the basics guide's functional API. */
class StatefulLinear extends Module("StatefulLinear")<{
  readonly w: Variable<"Param", Tensor>
  readonly b: Variable<"Param", Tensor>
  readonly count: Variable<"Count", Tensor>
}> {}

declare const model: StatefulLinear
declare const x: Tensor

it("A.127 a list of filters that leaves out a kind does not compile, and the message names the kind", () => {
  // @ts-expect-error NoFilterCovers<"Count">
  GraphDef.split(model, Param)
  // @ts-expect-error NoFilterCovers<"Param">
  GraphDef.split(model, Count)
  const parts = GraphDef.split(model, Param, Count)
  type Parts = Ok<typeof parts>
  expect<Parts[1]["w"]>().type.toBe<VariableState<"Param", Tensor>>()
  expect<Parts[1]>().type.not.toHaveProperty("count")
  expect<Parts[2]["count"]>().type.toBe<VariableState<"Count", Tensor>>()
  expect(GraphDef.split(model, Param, Filter.rest)).type.not.toRaiseError()
})

it("LoRA knows its base, and its parameters are Params of a kind of their own", () => {
  const around = (baseModule: L.Linear) => L.LoRA.make(2, 4, 5, { baseModule })
  type Around = Ok<ReturnType<typeof around>>
  expect<Around["baseModule"]>().type.toBe<L.Linear>()
  expect<KindsOf<Around>>().type.toBe<"Param" | "Param/LoRAParam">()
  expect<KindsOf<L.LoRA>>().type.toBe<"Param/LoRAParam">()
  expect<KindsOf<L.LoRALinear>>().type.toBe<"Param" | "Param/LoRAParam">()
  const split = (layer: Around) => GraphDef.split(layer, L.LoRAParam, Param)
  expect<Ok<ReturnType<typeof split>>[1]>().type.not.toHaveProperty("baseModule")
  expect<Ok<ReturnType<typeof split>>[2]["baseModule"]["kernel"]>().type.toBe<VariableState<"Param", Tensor>>()
  const own = L.LoRA.make(2, 4, 5, { loraParamType: kind("Adapter") })
  expect<Ok<typeof own>["loraA"]>().type.toBe<Variable<"Adapter", Tensor>>()
})

it("what was sown has the type that its class declares", () => {
  class Sower extends Module("Sower")<{ readonly i?: Variable<"Intermediate", ReadonlyArray<Tensor>> }> {}
  const taken = (m: Sower) => GraphDef.pop(m, Intermediate)
  expect<Ok<ReturnType<typeof taken>>["i"]>().type.toBeAssignableTo<
    VariableState<"Intermediate", ReadonlyArray<Tensor>> | undefined
  >()
  const sower = new Sower({})
  expect(GraphDef.perturb(sower, "h", x)).type.toBe<Effect.Effect<Tensor, GraphDef.SowError>>()
  expect(GraphDef.sow(sower, Perturbation, "h", { a: x })).type.toBe<Effect.Effect<void, GraphDef.SowError>>()
  // @ts-expect-error Argument of type 'Tensor' is not assignable to parameter of type 'string'
  GraphDef.sow(sower, Intermediate, "sum", x, { init: () => x, reduce: (kept: Tensor, y: string) => kept })
})
