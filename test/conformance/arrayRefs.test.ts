// The second notebook: array refs, Variables that are stored in them, and what happens to one that is at two places.
// (Its StableHLO text, training loop and scan over layers are with the transforms.)
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { failure, type Tensor, weak } from "./modes.models.ts"

const T = nnx.Tensor

const oneTwoThree = () => T.array([1, 2, 3], { dtype: "int32" })
const increment = nnx.jit((ref: Ref.Ref<Tensor>) => Ref.update(ref, (x) => x.add(1)))
const item = (v: Ref.Ref<Tensor>) => Effect.flatMap(Ref.get(v), T.item)

/** The second notebook's layer. */
class Linear extends nnx.Module("Linear")<{
  readonly kernel: nnx.Variable<"Param", Tensor>
  readonly bias: nnx.Variable<"Param", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*(inFeatures: number, outFeatures: number) {
    const kernel = T.random.normal(yield* nnx.Rngs.nextKey(), [inFeatures, outFeatures])
    return new Linear({ kernel: yield* nnx.Param.make(kernel), bias: yield* nnx.Param.make(T.zeros([outFeatures])) })
  })
  apply(x: Tensor) {
    return Effect.gen({ self: this }, function*() {
      const bias = yield* Ref.get(this.bias)
      return x.matmul(yield* Ref.get(this.kernel)).add(bias.get(T.newAxis))
    })
  }
}

layer(Cpu.layer)("array refs", (it) => {
  it.effect("A.033 A.034 jit writes an array ref in place, and it prints as a Ref", () =>
    Effect.gen(function*() {
      const ref = yield* nnx.newRef(oneTwoThree())
      assert.strictEqual(String(ref), "Ref([1, 2, 3], dtype=int32)")
      assert.isUndefined(yield* increment(ref))
      assert.strictEqual(String(ref), "Ref([2, 3, 4], dtype=int32)")
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(ref)), [2, 3, 4])
      yield* Ref.set(ref.at(0), T.array(9, { dtype: "int32" }))
      assert.strictEqual(String(ref), "Ref([9, 3, 4], dtype=int32)")
    }))

  it.effect("A.034 printing: weak types, long rows, inside of Modules and trees", () =>
    Effect.gen(function*() {
      assert.strictEqual(String(yield* nnx.newRef(weak(0))), "Ref(0, dtype=int32, weakType=true)")
      assert.strictEqual(
        String(yield* nnx.newRef(T.array([[1, 1], [1, 1]]))),
        "Ref([[1., 1.],\n       [1., 1.]], dtype=float32)"
      )
      const holder = new Holder({ ref: yield* nnx.newRef(oneTwoThree()), list: [yield* nnx.newRef(weak(1))] })
      assert.strictEqual(
        String(holder),
        "Holder(\n  ref=Ref(shape=(3,), dtype=int32),\n  list=[Ref(1, dtype=int32, weakType=true)]\n)"
      )
      assert.strictEqual(String(yield* nnx.newRef({ a: weak(1) })), "Ref({'a': Array(1, dtype=int32, weakType=true)})")
    }))

  it.effect("A.033 in Modules and trees, through closures, and in every transform", () =>
    Effect.gen(function*() {
      const ref = yield* nnx.newRef(T.array(1))
      const holder = new Holder({ ref, list: [yield* nnx.newRef(T.array(10))] })
      const both = nnx.jit((h: Holder) => Effect.andThen(Ref.update(h.ref, twice), Ref.update(h.list[0], twice)))
      yield* both(holder)
      yield* nnx.jit((tree: { readonly r: Ref.Ref<Tensor> }) => Ref.update(tree.r, twice))({ r: ref })
      yield* nnx.jit((x: Tensor) => Ref.update(ref, (r) => r.add(x)))(T.array(1))
      assert.deepStrictEqual([yield* item(ref), yield* item(holder.list[0])], [5, 20])

      const loss = (x: Tensor) => Effect.as(Ref.update(ref, (r) => r.add(1)), x.mul(x))
      assert.strictEqual(yield* T.item(yield* nnx.grad(loss)(T.array(3))), 6)
      const stack = yield* nnx.newRef(T.array([1, 2, 3]))
      yield* nnx.vmap((r: nnx.ArrayRef, x: Tensor) => Ref.update(r, (a) => a.mul(x)))(stack, T.array([1, 10, 100]))
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(stack)), [1, 20, 300])
      const step = (r: nnx.ArrayRef, carry: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(ref, (a) => a.add(1))
          yield* Ref.update(r, twice)
          return carry.add((yield* Ref.get(r)).sum())
        })
      const steps = yield* nnx.newRef(T.array([[1], [2], [3], [4]]))
      const sum = yield* nnx.scan(step, { inAxes: [0, nnx.Carry], outAxes: nnx.Carry })(steps, T.array(0))
      assert.strictEqual(yield* T.item(sum), 20)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(steps)), [[2], [4], [6], [8]])
      assert.strictEqual(yield* item(ref), 10)
      yield* nnx.cond(T.array(true), () => Ref.update(ref, twice), () => Effect.void)
      assert.strictEqual(yield* item(ref), 20)
    }))

  it.effect("A.033 in split and merge an array ref is a leaf of a kind of its own", () =>
    Effect.gen(function*() {
      const holder = new Holder({ ref: yield* nnx.newRef(weak(1)), list: [] })
      const [graphdef, refs] = yield* nnx.split(holder, nnx.ArrayRef)
      assert.strictEqual(String(refs), "State({\n  'ref': Ref(1, dtype=int32, weakType=true)\n})")
      const copy = yield* nnx.merge(graphdef, refs)
      assert.isTrue(nnx.isArrayRef(copy.ref))
      yield* Ref.set(copy.ref, weak(2))
      assert.deepStrictEqual([yield* item(holder.ref), yield* item(copy.ref)], [1, 2])
      // Conversions of Variables leave them alone.
      assert.isTrue((yield* nnx.immutable(holder)).ref.isMutable)
    }))
})

const twice = (x: Tensor): Tensor => x.mul(2)

class Holder extends nnx.Pytree("Holder")<{
  readonly ref: nnx.ArrayRef
  readonly list: ReadonlyArray<nnx.ArrayRef>
}> {}

layer(Cpu.layer)("Variables in array refs", (it) => {
  it.effect("A.038 jit writes them, before and after", () =>
    Effect.gen(function*() {
      const variable = yield* nnx.Variable.make(oneTwoThree(), { hasRef: true })
      assert.isTrue(variable.hasRef)
      const printed = (values: string) =>
        `Variable( # 3 (12 B)\n  value=Array(${values}, dtype=int32),\n  hasRef=true\n)`
      assert.strictEqual(String(variable), printed("[1, 2, 3]"))
      yield* increment(variable)
      assert.strictEqual(String(variable), printed("[2, 3, 4]"))
      assert.strictEqual(String(yield* nnx.getRawValue(variable)), "Ref([2, 3, 4], dtype=int32)")
      // Its Ref is the same one as before.
      assert.strictEqual(yield* nnx.getRawValue(variable), yield* nnx.getRawValue(variable))
    }))

  it.effect("A.039 useRefs scopes the default, and nests", () =>
    Effect.gen(function*() {
      const make = nnx.Variable.make(oneTwoThree())
      const nested = Effect.gen(function*() {
        const inner = yield* make.pipe(nnx.useRefs(false))
        return [yield* nnx.usingRefs, (yield* make).hasRef, inner.hasRef, (yield* make).hasRef]
      })
      assert.deepStrictEqual(yield* nnx.useRefs(nested, true), [true, true, false, true])
      assert.deepStrictEqual([yield* nnx.usingRefs, (yield* make).hasRef], [false, false])
      // Of the two defaults it changes one.
      const both = yield* make.pipe(nnx.useRefs(true), nnx.useHijax(true))
      assert.deepStrictEqual([both.hasRef, both.isHijax], [true, true])
      assert.isTrue((yield* make.pipe(Effect.provide(nnx.variableMode({ hasRef: true })))).hasRef)
    }))

  it.effect("A.040 toRefs and toArrays convert whole trees and give new objects", () =>
    Effect.gen(function*() {
      const model = yield* Linear.make(1, 3)
      const refs = yield* nnx.toRefs(model)
      const arrays = yield* nnx.toArrays(refs)
      assert.strictEqual(
        String(refs),
        `Linear( # Param: 6 (24 B)
  bias=Param( # 3 (12 B)
    value=Array(shape=(3,), dtype=float32),
    hasRef=true
  ),
  kernel=Param( # 3 (12 B)
    value=Array(shape=(1, 3), dtype=float32),
    hasRef=true
  )
)`
      )
      assert.strictEqual(String(arrays), String(refs).replaceAll(",\n    hasRef=true", ""))
      assert.strictEqual(nnx.toRefs, nnx.asRefVars)
      // The three are independent, and of States and of bare Variables it works as well.
      yield* Ref.update(refs.bias, (b) => b.add(1))
      const biases = yield* Effect.forEach([model, refs, arrays], (m) => Effect.flatMap(Ref.get(m.bias), T.toNested))
      assert.deepStrictEqual(biases, [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
      const [graphdef, state] = yield* nnx.split(refs)
      assert.isFalse((yield* nnx.merge(graphdef, yield* nnx.toArrays(state))).bias.hasRef)
      assert.isFalse((yield* nnx.toArrays(refs.bias)).hasRef)
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.041 bias[None]: an index expression on the value, or on the Variable", () =>
    Effect.gen(function*() {
      const model = yield* Linear.make(1, 3)
      yield* Ref.set(model.bias, T.array([1, 2, 3]))
      yield* Ref.set(model.kernel, T.zeros([1, 3]))
      const rows = [[1, 2, 3], [1, 2, 3]]
      assert.deepStrictEqual(
        yield* T.toNested(yield* nnx.jit((m: Linear, x: Tensor) => m.apply(x))(model, T.ones([2, 1]))),
        rows
      )
      const bias = yield* Ref.get(model.bias.at(T.newAxis))
      assert.deepStrictEqual(bias.shape, [1, 3])
      assert.deepStrictEqual(yield* T.toNested(bias), [[1, 2, 3]])
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.041 parts of a Tensor are written in place", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make(T.zeros([2, 3]), { hasRef: true })
      const f = nnx.jit((v: nnx.Variable<"Variable", Tensor>) =>
        Effect.andThen(Ref.set(v.at(1), T.array([1, 2, 3])), Ref.update(v.at(T.slice(), -1), (x) => x.add(5)))
      )
      yield* f(v)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(v)), [[0, 0, 5], [1, 2, 8]])
    }))
})

const createModel = () => Linear.make(2, 3)

layer(Cpu.layer)("mutable outputs", (it) => {
  it.effect("A.045 A.046 a model that jit makes comes out with its Refs", () =>
    Effect.gen(function*() {
      const create = nnx.jit(createModel, { name: "create_model" })
      const model = yield* create().pipe(nnx.useRefs(true))
      assert.isTrue(model.bias.hasRef)
      yield* increment(model.bias)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(model.bias)), [1, 1, 1])
      // The notebook's way around it works too: made without Refs (another version of the function), then converted.
      const plain = yield* create().pipe(nnx.useRefs(false))
      assert.isFalse(plain.bias.hasRef)
      assert.isTrue((yield* nnx.toRefs(plain)).bias.hasRef)
      assert.strictEqual(create.traces(), 2)
      // And an array ref by itself: a new one, or one that came in, which is itself.
      const fresh = yield* nnx.jit((x: Tensor) => nnx.newRef(x.mul(2)))(T.array(2))
      assert.strictEqual(yield* item(fresh), 4)
      assert.strictEqual(yield* nnx.jit((r: nnx.ArrayRef) => Effect.as(Ref.update(r, twice), r))(fresh), fresh)
      assert.strictEqual(yield* item(fresh), 8)
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.045 the Ref of a Variable of the arguments cannot come out by itself: it would be another", () =>
    Effect.gen(function*() {
      const variable = yield* nnx.Variable.make(T.zeros([64]), { hasRef: true })
      const leak = nnx.jit(
        (v: nnx.Variable<"Variable", Tensor>) => Effect.map(nnx.getRawValue(v), (raw) => ({ bn: { bias: raw } })),
        { name: "create_model" }
      )
      const error = yield* failure(leak(variable))
      assert.strictEqual(error._tag, "AliasError")
      assert.strictEqual(
        error.message,
        "function create_model traced for jit returned a mutable array reference of type Ref{float32[64]} at output tree " +
          "path result.bn.bias, but mutable array references cannot be returned. It is at v.value already: return its " +
          "value, or the Variable that it belongs to."
      )
    }))
})

// --- one reference at two places ---

class SharedVariables extends nnx.Pytree("SharedVariables")<{
  readonly a: nnx.Variable<"Variable", Tensor>
  readonly b: nnx.Variable<"Variable", Tensor>
  readonly c: nnx.Variable<"Variable", Tensor>
}> {
  static readonly make = Effect.gen(function*() {
    const a = yield* nnx.Variable.make(weak(0))
    return new SharedVariables({ a, b: yield* nnx.Variable.make(weak(1)), c: a })
  })
}

class SharedModules extends nnx.Pytree("SharedModules")<{
  readonly d: Linear
  readonly e: Linear
  readonly f: Linear
}> {
  static readonly make = Effect.gen(function*() {
    const d = yield* Linear.make(1, 1)
    return new SharedModules({ d, e: yield* Linear.make(1, 1), f: d })
  })
}

const onlyOne = (f: string, type: string, a: string, b: string): string =>
  "only one reference to a mutable array may be passed as an argument to a function, but when tracing " +
  `${f} for jit the mutable array reference of type Ref{${type}} appeared at both ${a} and ${b}.`

layer(Cpu.layer)("one reference at two places", (it) => {
  it.effect("A.048 A.052 the same Ref at two arguments: an error that is a value", () =>
    Effect.gen(function*() {
      const x = yield* nnx.newRef(weak(0))
      const f = nnx.jit((a: nnx.ArrayRef, b: nnx.ArrayRef) => Effect.asVoid(Effect.all([Ref.get(a), Ref.get(b)])), {
        name: "f"
      })
      const error = yield* Effect.flip(f(x, x))
      assert.strictEqual(error._tag, "AliasError")
      assert.strictEqual(`${error._tag}: ${error.message}`, `AliasError: ${onlyOne("f", "int32[]", "a", "b")}`)
      const exit = yield* Effect.exit(f(x, x))
      assert.isTrue(Exit.isFailure(exit))
      const handled = f(x, x).pipe(Effect.catchTag("AliasError", (e) => Effect.succeed(e.paths)))
      assert.deepStrictEqual(yield* handled, [["0"], ["1"]])
      // Two Refs are fine, before and after.
      yield* f(x, yield* nnx.newRef(weak(0)))
      assert.strictEqual((yield* Effect.flip(f(x, x)))._tag, "AliasError")
    }))

  it.effect("A.048 every transform refuses; where parameters have no plain names they are counted", () =>
    Effect.gen(function*() {
      const x = yield* nnx.newRef(T.ones([2, 3]))
      const f = (...refs: ReadonlyArray<nnx.ArrayRef>) => Effect.map(Ref.get(refs[0]), (a) => a.sum())
      const path = "Ref{float32[2,3]} appeared at both args[0] and args[1]."
      for (const run of [nnx.jit(f), nnx.vmap(f), nnx.remat(f)]) {
        assert.include((yield* failure(run(x, x) as Effect.Effect<unknown, nnx.AliasError>)).message, path)
      }
      const deep = nnx.jit((tree: unknown) => Effect.as(Effect.void, tree), { name: "g" })
      const found = yield* failure(deep({ list: [x], "a b": x }) as Effect.Effect<unknown, nnx.AliasError>)
      assert.strictEqual(found.message, onlyOne("g", "float32[2,3]", "tree[\"a b\"]", "tree.list[0]"))
    }))

  it.effect("A.049 Variables and Modules that are shared: one object, or with aliases: \"error\" both paths", () =>
    Effect.gen(function*() {
      const variables = yield* SharedVariables.make
      const modules = yield* SharedModules.make
      const g = nnx.jit((pytree: SharedVariables) => Effect.andThen(increment(pytree.a), increment(pytree.c)))
      yield* g(variables)
      assert.strictEqual(yield* item(variables.a), 2)

      const refuse = nnx.jit((_pytree: object) => Effect.void, { name: "g", aliases: "error" })
      const first = yield* failure(refuse(variables))
      assert.strictEqual(first.message, onlyOne("g", "int32[]", "_pytree.a.value", "_pytree.c.value"))
      const second = yield* failure(refuse(modules))
      assert.strictEqual(second.message, onlyOne("g", "float32[1]", "_pytree.d.bias.value", "_pytree.f.bias.value"))
      // Inside another trace as well.
      const outer = nnx.jit((m: SharedModules) => refuse(m))
      assert.strictEqual((yield* failure(outer(modules)))._tag, "AliasError")
      yield* refuse(yield* Linear.make(1, 1))
    }).pipe(nnx.useRefs(true), Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.049 two Variables over one Ref, or one and its own Ref, have no meaning as arguments", () =>
    Effect.gen(function*() {
      const ref = yield* nnx.newRef(weak(0))
      const [a, c] = [yield* nnx.Variable.fromRef(ref), yield* nnx.Variable.fromRef(ref)]
      assert.isTrue(a.hasRef)
      yield* Ref.set(c, weak(4))
      assert.strictEqual(yield* item(a), 4)

      const g = nnx.jit((pytree: { readonly a: unknown; readonly c: unknown }) => Effect.as(Effect.void, pytree.a), {
        name: "g"
      })
      const distinct = { a: yield* nnx.Variable.make(weak(0)), c: yield* nnx.Variable.make(weak(0)) }
      yield* g(yield* nnx.asRefVars(distinct))
      assert.strictEqual(
        (yield* failure(g({ a, c }))).message,
        onlyOne("g", "int32[]", "pytree.a.value", "pytree.c.value")
      )
      assert.strictEqual(
        (yield* failure(g({ a, c: ref }))).message,
        onlyOne("g", "int32[]", "pytree.a.value", "pytree.c")
      )
      // Nor would they be what they were after split and merge.
      const exit = yield* Effect.exit(nnx.split({ a, c }))
      assert.include(String(exit), "appeared at both a.value and c.value")
      // A Variable is not made of a Ref by mistake.
      const wrong = yield* Effect.exit(nnx.Variable.make(ref))
      assert.include(String(wrong), "Cannot pass a Ref directly into Variable constructor")
    }))

  it.effect("A.050 findDuplicates finds them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(nnx.findDuplicates(yield* SharedVariables.make), [[["a"], ["c"]]])
      assert.deepStrictEqual(nnx.findDuplicates(yield* SharedModules.make), [[["d"], ["f"]]])
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.051 split deduplicates, and what is written through live Variables stays weakly typed", () =>
    Effect.gen(function*() {
      const shared = yield* SharedVariables.make
      const [graphdef, state] = yield* nnx.split(shared)
      assert.strictEqual(
        String(state),
        `State({
  'a': Variable( # 1 (4 B)
    value=Array(0, dtype=int32, weakType=true),
    hasRef=true
  ),
  'b': Variable( # 1 (4 B)
    value=Array(1, dtype=int32, weakType=true),
    hasRef=true
  )
})`
      )
      const h = nnx.jit((def: typeof graphdef, live: nnx.State.Any) =>
        Effect.flatMap(nnx.merge(def, live), (obj) => Ref.update(obj.a, (n) => n.add(10)))
      )
      yield* h(graphdef, yield* nnx.variables(shared))
      assert.strictEqual(
        String(shared),
        `SharedVariables( # Variable: 2 (8 B)
  a=Variable( # 1 (4 B)
    value=Array(10, dtype=int32, weakType=true),
    hasRef=true
  ),
  b=Variable( # 1 (4 B)
    value=Array(1, dtype=int32, weakType=true),
    hasRef=true
  ),
  c=Variable( # 1 (4 B)
    value=Array(10, dtype=int32, weakType=true),
    hasRef=true
  )
)`
      )
      // A strong value makes it strong, as anywhere else.
      yield* nnx.jit((v: nnx.Variable<"Variable", Tensor>) =>
        Ref.update(v, (n) => n.add(T.array(1, { dtype: "int32" })))
      )(
        shared.a
      )
      assert.isFalse((yield* Ref.get(shared.a)).weakType)
    }).pipe(nnx.useRefs(true)))
})

describe("errors", () => {
  it.effect("A.052 errors are values: flip, exit and catchTag, outside of transforms as well", () =>
    Effect.gen(function*() {
      const frozen = yield* nnx.immutable(yield* nnx.Variable.make(weak(0)))
      const error = yield* Effect.flip(nnx.update(frozen, weak(1)))
      assert.strictEqual(error._tag, "ImmutableVariableError")
      const text = yield* nnx.update(frozen, weak(1)).pipe(
        Effect.match({ onFailure: (e) => `${e._tag}: ${e.message.slice(0, 22)}`, onSuccess: () => "none" })
      )
      assert.strictEqual(text, "ImmutableVariableError: Cannot mutate Variable")
      // Effect's own `Ref.set` has no error channel: there the same error is a defect.
      const exit = yield* Effect.exit(Ref.set(frozen, weak(1)))
      assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons[0]._tag === "Die")
      const caught = yield* Effect.catchDefect(Ref.set(frozen, weak(1)), (e) => Effect.succeed(e))
      assert.instanceOf(caught, nnx.ImmutableVariableError)
    }))
})
