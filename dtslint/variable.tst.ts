import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { expect, it } from "tstyche"
import * as GraphDef from "../src/GraphDef/index.ts"
import * as nnx from "../src/index.ts"
import type { KindsOf, VariableState } from "../src/State/index.ts"
import type { Tensor } from "../src/Tensor/Tensor.ts"

declare const plain: nnx.Variable<"Param", Tensor>
declare const tree: nnx.Variable<"Cache", { readonly a: Tensor; readonly list: ReadonlyArray<Tensor> }>
declare const metrics: nnx.Variable<"MetricState", { readonly mean?: Tensor }>
declare const named: nnx.Variable<"MetricState", Readonly<Record<string, Tensor>>>
declare const tensor: Tensor

type Value<R> = R extends Ref.Ref<infer A> ? A : never

it("parts have the types of what stands there", () => {
  expect<Value<nnx.VariablePart<Tensor>>>().type.toBe<Tensor>()
  expect(tree.at("a")).type.toBe<nnx.VariablePart<Tensor>>()
  expect(tree.at("list").at(0)).type.toBe<nnx.VariablePart<Tensor>>()
  expect(Ref.get(tree.at("a"))).type.toBe<Effect.Effect<Tensor>>()
  expect(tree.at).type.not.toBeCallableWith("b")
  expect(Ref.set(tree.at("a"), tensor)).type.toBe<Effect.Effect<void>>()
  // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'Tensor'
  Ref.set(tree.at("a"), "x")
})

it("parts of a Tensor are named by an index expression", () => {
  expect(plain.at(0, nnx.Tensor.slice())).type.toBe<nnx.VariablePart<Tensor>>()
  expect(plain.at(nnx.Tensor.newAxis)).type.toBe<nnx.VariablePart<Tensor>>()
  expect(plain.at).type.not.toBeCallableWith("a")
})

it("keys that may be absent read undefined", () => {
  expect(metrics.at("mean")).type.toBe<nnx.VariablePart<Tensor | undefined>>()
  expect(named.at("anything")).type.toBe<nnx.VariablePart<Tensor | undefined>>()
  expect(metrics.at).type.not.toBeCallableWith("median")
  // @ts-expect-error 'n' is possibly 'undefined'
  Ref.update(named.at("n"), (n) => n.add(1))
})

it("array refs are Refs, and a kind by themselves", () => {
  expect(nnx.newRef(tensor)).type.toBe<Effect.Effect<nnx.ArrayRef<Tensor>>>()
  expect<nnx.ArrayRef>().type.toBeAssignableTo<Ref.Ref<Tensor>>()
  expect<KindsOf<{ readonly r: nnx.ArrayRef; readonly p: typeof plain }>>().type.toBe<"ArrayRef" | "Param">()
  const model = { r: undefined as unknown as nnx.ArrayRef, p: plain }
  expect(GraphDef.split(model, nnx.Param, nnx.ArrayRef)).type.not.toRaiseError()
  // @ts-expect-error NoFilterCovers<"ArrayRef">
  GraphDef.split(model, nnx.Param)
  expect(nnx.getRawValue(plain)).type.toBe<Effect.Effect<Tensor | nnx.ArrayRef<Tensor>>>()
})

it("conversions and defaults keep types", () => {
  expect(nnx.immutable(tree)).type.toBe<Effect.Effect<typeof tree>>()
  expect(nnx.asRefVars({ plain })).type.toBe<Effect.Effect<{ plain: typeof plain }>>()
  const failing = undefined as unknown as Effect.Effect<number, "E", "R">
  expect(failing.pipe(nnx.useHijax(true))).type.toBe<Effect.Effect<number, "E", "R">>()
  expect(nnx.useRefs(failing, false)).type.toBe<Effect.Effect<number, "E", "R">>()
  const snapshot = undefined as unknown as VariableState<"Param", Tensor>
  expect(nnx.mutable(snapshot)).type.toBe<Effect.Effect<VariableState<"Param", Tensor>>>()
})

it("metadata is read in three forms and set in two", () => {
  expect(nnx.getMetadata(plain)).type.toBe<Effect.Effect<nnx.Metadata>>()
  expect(nnx.getMetadata(plain, { excludeRequired: true })).type.toBe<Effect.Effect<nnx.Metadata>>()
  expect(nnx.getMetadata(plain, "a")).type.toBe<Effect.Effect<unknown, nnx.MetadataError>>()
  expect(nnx.getMetadata(plain, "a", 1)).type.toBe<Effect.Effect<unknown>>()
  // A default belongs to a name; a name and the choice of what to leave out do not go together.
  expect(nnx.getMetadata).type.not.toBeCallableWith(plain, undefined, 1)
  expect(nnx.getMetadata).type.not.toBeCallableWith(plain, "a", 1, 2)
  expect(nnx.getMetadata).type.not.toBeCallableWith(plain, { excludeRequired: true }, 1)
  expect(nnx.setMetadata(plain, "a", 1)).type.toBe<Effect.Effect<void, nnx.SetMetadataError>>()
  expect(nnx.setMetadata(tree, { a: 1 })).type.toBe<Effect.Effect<void, nnx.SetMetadataError>>()
  expect(nnx.setMetadata).type.not.toBeCallableWith(plain, "a")
  expect(nnx.setMetadata).type.not.toBeCallableWith(plain, { a: 1 }, { b: 2 })
})

it("what came with metadata has the type of its value", () => {
  expect(nnx.Param.make(nnx.variableMetadata(tensor, { metadata: { a: 1 } }))).type.toBe<
    Effect.Effect<nnx.Variable<"Param", Tensor>>
  >()
  expect(nnx.Param.make({ a: tensor })).type.toBe<Effect.Effect<nnx.Variable<"Param", { a: Tensor }>>>()
  const init = nnx.withMetadata(nnx.initializers.zeros, { metadata: { a: 1 } })
  expect(init(tensor, [2])).type.toBe<nnx.VariableMetadata<Tensor>>()
  expect(init).type.toBeAssignableTo<nnx.ParameterInitializer>()
  expect(nnx.initializers.zeros).type.toBeAssignableTo<nnx.ParameterInitializer>()
  expect(plain.type).type.toBe<nnx.Kind<"Param">>()
})
