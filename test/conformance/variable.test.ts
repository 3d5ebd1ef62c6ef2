// The first notebook: Variables, their modes, values that are trees, and what is shared. (Its Programs are in
// variable.programs.test.ts; its training loop and what it lists as limitations are with the transforms.)
import { assert, describe, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { readFileSync } from "node:fs"
import { failure, Linear, Shared, weak } from "./modes.models.ts"

type Tensor = nnx.Tensor.Tensor
const T = nnx.Tensor

const vector = T.array([1, 2, 3])

/** What an Effect without an error channel dies of, as the notebooks print it: the tag and the message. */
const defect = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit): string => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")

describe("the default mode", () => {
  it.effect("A.001 usingHijax gives the current default, which useHijax restores", () =>
    Effect.gen(function*() {
      const currentMode = yield* nnx.usingHijax
      assert.isFalse(currentMode)
      const guide = Effect.gen(function*() {
        assert.isTrue(yield* nnx.usingHijax)
        assert.isTrue((yield* nnx.Variable.make(vector)).isHijax)
        // The notebook's last cell.
        const after = nnx.Variable.make(vector).pipe(nnx.useHijax(currentMode))
        assert.isFalse((yield* after).isHijax)
        assert.isTrue((yield* nnx.Variable.make(vector)).isHijax)
      })
      yield* guide.pipe(nnx.useHijax(true))
      assert.isFalse(yield* nnx.usingHijax)
      assert.isFalse((yield* nnx.Variable.make(vector)).isHijax)
    }))

  it.effect("A.001 the default belongs to a fiber: what runs beside it has its own", () =>
    Effect.gen(function*() {
      const slowly = Effect.andThen(Effect.yieldNow, nnx.Variable.make(vector))
      const both = yield* Effect.all([slowly.pipe(nnx.useHijax(true)), slowly], { concurrency: 2 })
      assert.deepStrictEqual(both.map((v) => v.isHijax), [true, false])
    }))

  it.effect("A.014 what is made under useHijax(true) is marked and prints so", () =>
    Effect.gen(function*() {
      const variable = yield* nnx.Variable.make(T.array([1, 2, 3], { dtype: "int32" })).pipe(nnx.useHijax(true))
      assert.strictEqual(
        String(variable),
        `Variable( # 3 (12 B)
  value=Array([1, 2, 3], dtype=int32),
  isHijax=true
)`
      )
    }))

  it.effect("A.014 for a whole application it is a Layer, and options at creation win", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const model = yield* Linear.make(1, 3)
        const plain = yield* nnx.Param.make(vector, { isHijax: false })
        return [model.kernel.isHijax, plain.isHijax, yield* nnx.usingRefs]
      })
      const made = program.pipe(Effect.provide([nnx.variableMode({ isHijax: true }), nnx.Rngs.layer(0)]))
      assert.deepStrictEqual(yield* made, [true, false, false])
    }))

  it.effect("A.014 inside jit it is part of what a compiled function is", () =>
    Effect.gen(function*() {
      const create = nnx.jit((x: Tensor) => nnx.Param.make(x.mul(2)))
      assert.isFalse((yield* create(vector)).isHijax)
      assert.isTrue((yield* create(vector).pipe(nnx.useHijax(true))).isHijax)
      assert.isFalse((yield* create(vector)).isHijax)
      assert.strictEqual(create.traces(), 2)
    }).pipe(Effect.provide(Cpu.layer)))
})

layer(Cpu.layer)("writes inside of jit", (it) => {
  it.effect("A.002 a Variable passed to jit is updated in place, without a return value", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make(weak(0), { isHijax: true })
      const inc = nnx.jit((v: nnx.Variable<"Variable", Tensor>) => Ref.update(v, (n) => n.add(1)))
      const printed: Array<string> = []
      printed.push(yield* shown(v))
      assert.isUndefined(yield* inc(v))
      printed.push(yield* shown(v))
      assert.deepStrictEqual(printed, ["0", "1"])
      // The value stays weakly typed, so that nothing is traced again.
      yield* inc(v)
      assert.strictEqual(inc.traces(), 1)
      assert.isTrue((yield* Ref.get(v)).weakType)
    }))

  it.effect("A.009 A.010 a value that is a tree: its parts are Refs", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make({ a: weak(0), b: weak(2) }, { isHijax: true })
      const incAndDouble = nnx.jit((w: typeof v) =>
        Effect.andThen(Ref.update(w.at("a"), (n) => n.add(1)), Ref.update(w.at("b"), (n) => n.mul(2)))
      )
      assert.strictEqual(
        String(v),
        `Variable( # 2 (8 B)
  value={'a': Array(0, dtype=int32, weakType=true), 'b': Array(2, dtype=int32, weakType=true)},
  isHijax=true
)`
      )
      yield* incAndDouble(v)
      assert.strictEqual(
        String(v),
        `Variable( # 2 (8 B)
  value={'a': Array(1, dtype=int32, weakType=true), 'b': Array(4, dtype=int32, weakType=true)},
  isHijax=true
)`
      )
    }))

  it.effect("A.009 parts of parts, of arrays and of Tensors", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make({ list: [T.zeros([2]), T.ones([2, 2])], deep: { n: weak(1) } })
      const f = nnx.jit((w: typeof v) =>
        Effect.gen(function*() {
          yield* Ref.set(w.at("list").at(0).at(1), T.array(5, { dtype: "float32" }))
          yield* Ref.update(w.at("deep").at("n"), (n) => n.add(41))
          return yield* Ref.modify(w.at("list").at(1), (x): [Tensor, Tensor] => [x.sum(), x.mul(3)])
        })
      )
      assert.strictEqual(yield* T.item(yield* f(v)), 4)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(v.at("list").at(0))), [0, 5])
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(v.at("list").at(1))), [[3, 3], [3, 3]])
      assert.strictEqual(yield* T.item(yield* Ref.get(v.at("deep").at("n"))), 42)
      const wrong = yield* defect(Ref.set(v.at("list").at(2 as 0), T.zeros([1])))
      assert.include(wrong, "at: expected a part at 2, found an array of 2")
    }))

  it.effect("A.009 hooks see whole values, and an immutable Variable refuses its parts too", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const v = yield* nnx.Variable.make({ a: weak(0) }, {
        hooks: {
          setValue: [(_, value) => {
            seen.push(value)
            return value
          }]
        }
      })
      yield* Ref.set(v.at("a"), weak(7))
      assert.deepStrictEqual(seen, [yield* Ref.get(v)])
      const frozen = yield* nnx.immutable(v)
      assert.include(yield* defect(Ref.set(frozen.at("a"), weak(1))), "Cannot mutate Variable")
    }))

  it.effect("A.011 A.012 A.013 a value may gain keys inside of jit", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs.fromSeeds(0)
      const x = yield* rngs.uniform([4, 5])
      const w = yield* rngs.normal([5, 3])
      const metrics = yield* nnx.Variable.make<{ readonly y_mean?: Tensor }>({}, { isHijax: true })

      const linear = nnx.jit((x: Tensor, w: Tensor, m: typeof metrics) => {
        const y = x.matmul(w)
        return Effect.as(Ref.set(m.at("y_mean"), y.mean()), y)
      })

      assert.strictEqual(String(metrics), "Variable(\n  value={},\n  isHijax=true\n)")
      const y = yield* linear(x, w, metrics)
      assert.deepStrictEqual(y.shape, [4, 3])
      assert.strictEqual(
        String(metrics),
        `Variable( # 1 (4 B)
  value={'y_mean': Array(-1.1782329, dtype=float32)},
  isHijax=true
)`
      )
      // With the key there it is another structure: once more, and then no more.
      yield* linear(x, w, metrics)
      yield* linear(x, w, metrics)
      assert.strictEqual(linear.traces(), 2)
    }))

  it.effect("A.011 a record reads undefined where it has no key, and setting undefined removes one", () =>
    Effect.gen(function*() {
      const metrics = yield* nnx.Variable.make<Readonly<Record<string, Tensor>>>({})
      const count = nnx.jit((m: typeof metrics) =>
        Ref.update(m.at("n"), (n) => n === undefined ? T.array(1, { dtype: "int32" }) : n.add(1))
      )
      yield* count(metrics)
      yield* count(metrics)
      assert.strictEqual(yield* T.item((yield* Ref.get(metrics.at("n"))) ?? T.zeros([])), 2)
      yield* nnx.jit((m: typeof metrics) => Ref.set(m.at("n"), undefined))(metrics)
      assert.strictEqual(String(metrics), "Variable(\n  value={}\n)")
    }))
})

/** The element of a scalar, as it prints. */
const shown = (v: nnx.Variable<string, Tensor>) => Effect.map(Effect.flatMap(Ref.get(v), T.item), String)

layer(nnx.Rngs.layer(0))("mutability", (it) => {
  it.effect("A.015 A.016 immutable gives a new tree of read-only Variables, mutable the inverse", () =>
    Effect.gen(function*() {
      const model = yield* Linear.make(1, 3)
      const frozen = yield* nnx.immutable(model)
      assert.strictEqual(
        String(frozen),
        `Linear( # Param: 3 (12 B)
  kernel=Param( # 3 (12 B)
    value=Array(shape=(1, 3), dtype=float32),
    isMutable=false,
    wasHijax=true
  )
)`
      )
      assert.strictEqual(
        String(yield* nnx.mutable(frozen)),
        `Linear( # Param: 3 (12 B)
  kernel=Param( # 3 (12 B)
    value=Array(shape=(1, 3), dtype=float32),
    isHijax=true
  )
)`
      )
      assert.isTrue(model.kernel.isMutable)
      assert.notStrictEqual(frozen, model)
      // What is mutable already stays what it is.
      assert.isTrue((yield* nnx.mutable(model)).kernel.isHijax)
      // Twice is once.
      assert.isTrue((yield* nnx.immutable(frozen)).kernel.wasHijax)
    }).pipe(nnx.useHijax(true)))

  it.effect("A.015 States, snapshots and trees convert too, and merging keeps the mode", () =>
    Effect.gen(function*() {
      const model = yield* Linear.make(1, 3)
      const [graphdef, params] = yield* nnx.split(model, nnx.Param)
      const frozen = yield* nnx.immutable(params)
      assert.include(String(frozen), "isMutable=false,\n    wasHijax=true")
      const merged = yield* nnx.merge(graphdef, frozen)
      assert.isFalse(merged.kernel.isMutable)
      assert.isTrue((yield* nnx.merge(graphdef, yield* nnx.mutable(frozen))).kernel.isHijax)
      assert.isTrue((yield* nnx.merge(graphdef, params)).kernel.isMutable)
      // Updating writes values, never modes.
      yield* nnx.update(model, frozen)
      assert.isTrue(model.kernel.isMutable)
      const tree = yield* nnx.immutable({ list: [model], leaf: params.kernel })
      assert.isFalse(tree.list[0].kernel.isMutable)
      assert.include(String(tree.leaf), "isMutable=false")
      const live = yield* nnx.immutable(yield* nnx.variables(model))
      assert.include(String(live), "isMutable=false")
    }).pipe(nnx.useHijax(true)))

  it.effect("A.015 modes are part of the structure: they print, and a compiled function is traced again", () =>
    Effect.gen(function*() {
      const model = yield* Linear.make(1, 3)
      assert.strictEqual(
        String(yield* nnx.graphdef(yield* nnx.immutable(model))),
        "GraphDef Linear(index=0)\n  kernel: Param(index=1, isMutable=false)"
      )
      const f = nnx.jit((m: Linear) => Effect.map(Ref.get(m.kernel), (w) => w.sum()))
      for (const m of [model, yield* nnx.immutable(model), yield* nnx.asRefVars(model), model]) yield* f(m)
      assert.strictEqual(f.traces(), 3)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("A.017 writing an immutable Variable is an error with a link", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make(weak(0))
      const frozen = yield* nnx.immutable(v)
      assert.isFalse(frozen.isMutable)
      assert.strictEqual(
        yield* defect(Ref.update(frozen, (n) => n.add(1))),
        "ImmutableVariableError: Cannot mutate Variable as it is marked as immutable. (docs/flax.md#immutable) " +
          "It is of kind Variable; mutable(...) gives a writable copy."
      )
      // The place that it names is there.
      assert.include(readFileSync(new URL("../../docs/flax.md", import.meta.url), "utf8"), "\n### Immutable\n")
      const inc = nnx.jit((v: typeof frozen) => Ref.update(v, (n) => n.add(1)))
      const error = yield* failure(inc(frozen))
      assert.strictEqual(error._tag, "ImmutableVariableError")
      yield* inc(v)
    }).pipe(Effect.provide(Cpu.layer)))
})

layer(Cpu.layer)("storage in array refs", (it) => {
  const refText = `Variable( # 1 (4 B)
  value=Array(0, dtype=int32, weakType=true),
  hasRef=true,
  isHijax=true
)`

  it.effect("A.018 asRefVars: the raw value is a Ref, what is read an array", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Variable.make(weak(0))
      const vRef = yield* nnx.asRefVars(v)
      assert.isTrue(vRef.hasRef)
      assert.isFalse(v.hasRef)
      assert.strictEqual(String(vRef), refText)
      const raw = yield* nnx.getRawValue(vRef)
      assert.isTrue(nnx.isArrayRef(raw))
      assert.strictEqual(String(raw), "Ref(0, dtype=int32, weakType=true)")
      assert.strictEqual(String(yield* Ref.get(vRef)), "Array(0, dtype=int32, weakType=true)")
      assert.strictEqual(yield* nnx.getRawValue(v), yield* Ref.get(v))
    }).pipe(nnx.useHijax(true)))

  it.effect("A.018 Variable and Ref are one storage, outside and inside of jit", () =>
    Effect.gen(function*() {
      const v = yield* nnx.asRefVars(yield* nnx.Variable.make(weak(0)))
      const raw = yield* nnx.getRawValue(v)
      assert.isTrue(nnx.isArrayRef(raw))
      const ref = raw as nnx.ArrayRef
      yield* Ref.set(ref, weak(5))
      assert.strictEqual(yield* shown(v), "5")
      yield* Ref.update(v, (n) => n.add(1))
      assert.strictEqual(yield* T.item(yield* Ref.get(ref)), 6)
      // One as an argument, the other through the closure: still one.
      const f = nnx.jit((w: typeof v) =>
        Effect.gen(function*() {
          yield* Ref.update(w, (n) => n.add(10))
          const between = yield* Ref.get(ref)
          yield* Ref.update(ref, (n) => n.mul(2))
          return between
        })
      )
      assert.strictEqual(yield* T.item(yield* f(v)), 16)
      assert.deepStrictEqual([yield* shown(v), yield* shown(ref)], ["32", "32"])
      yield* nnx.jit((r: nnx.ArrayRef) => Effect.andThen(Ref.set(v, weak(1)), Ref.update(r, (n) => n.add(1))))(ref)
      assert.deepStrictEqual([yield* shown(v), yield* shown(ref)], ["2", "2"])
      // The raw value inside is the inner Variable's.
      yield* nnx.jit((w: typeof v) =>
        Effect.flatMap(nnx.getRawValue(w), (r) => Ref.update(r as nnx.ArrayRef, (n) => n.add(3)))
      )(v)
      assert.strictEqual(yield* shown(v), "5")
    }))

  it.effect("A.018 hooks see what goes through the Variable, not what goes through the Ref", () =>
    Effect.gen(function*() {
      const double = (_: unknown, x: unknown) => (x as Tensor).mul(2)
      const v = yield* nnx.Variable.make(weak(1), { hasRef: true, hooks: { getValue: [double] } })
      assert.strictEqual(yield* shown(v), "2")
      assert.strictEqual(yield* shown((yield* nnx.getRawValue(v)) as nnx.ArrayRef), "1")
      const plain = yield* nnx.Variable.make(weak(1), { hooks: { getValue: [double] } })
      assert.strictEqual(yield* T.item((yield* nnx.getRawValue(plain)) as Tensor), 1)
    }))

  it.effect("A.019 immutable drops the Ref and remembers it, mutable restores the mode", () =>
    Effect.gen(function*() {
      const vRef = yield* nnx.asRefVars(yield* nnx.Variable.make(weak(0)))
      const frozen = yield* nnx.immutable(vRef)
      assert.isFalse(frozen.hasRef)
      assert.strictEqual(
        String(frozen),
        `Variable( # 1 (4 B)
  value=Array(0, dtype=int32, weakType=true),
  isMutable=false,
  hadRef=true,
  wasHijax=true
)`
      )
      const again = yield* nnx.mutable(frozen)
      assert.isTrue(again.hasRef)
      assert.strictEqual(String(again), refText)
      // Another storage: the copies are independent.
      yield* Ref.set(again, weak(3))
      assert.deepStrictEqual([yield* shown(vRef), yield* shown(frozen)], ["0", "0"])
      // A read-only one that is asked for a Ref gets it with its mutability.
      const later = yield* nnx.asRefVars(yield* nnx.immutable(yield* nnx.Variable.make(weak(0))))
      assert.deepStrictEqual([later.hasRef, later.hadRef, (yield* nnx.mutable(later)).hasRef], [false, true, true])
    }).pipe(nnx.useHijax(true)))
})

// --- examples ---

class Block extends nnx.Module("Block")<{
  readonly linear: Linear
  readonly bn: nnx.BatchNorm
  readonly dropout: nnx.Dropout
  readonly linear_out: Linear
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dmid: number, dout: number) {
    return new Block({
      linear: yield* Linear.make(din, dmid),
      bn: yield* nnx.BatchNorm.make(dmid),
      dropout: yield* nnx.Dropout.make(0.1),
      linear_out: yield* Linear.make(dmid, dout)
    })
  })
  apply(x: Tensor) {
    return this.linear.apply(x).pipe(
      Effect.flatMap((h) => this.bn.apply(h)),
      Effect.flatMap((h) => this.dropout.apply(h)),
      Effect.map(nnx.gelu),
      Effect.flatMap((h) => this.linear_out.apply(h))
    )
  }
}

layer(Cpu.layer)("a custom layer", (it) => {
  it.effect("A.020 composes with those of the library, in every mode", () =>
    Effect.gen(function*() {
      const run = Effect.gen(function*() {
        const block = yield* Block.make(2, 64, 3)
        const y = yield* nnx.jit((b: Block, x: Tensor) => b.apply(x))(block, T.random.normal(T.random.key(1), [10, 2]))
        const { count } = block.dropout.rngs as nnx.RngStream
        return {
          y: yield* T.toNested(y),
          mean: yield* T.toNested(yield* Ref.get(block.bn.mean)),
          count: yield* shown(count)
        }
      })
      const seeded = Effect.provide(run, nnx.Rngs.layer(0))
      const plain = yield* seeded
      assert.strictEqual(plain.count, "1")
      assert.isTrue((plain.mean as ReadonlyArray<number>).some((m) => m !== 0))
      assert.deepStrictEqual(yield* seeded.pipe(nnx.useHijax(true)), plain)
      assert.deepStrictEqual(yield* seeded.pipe(nnx.useRefs(true)), plain)
    }))
})

// --- sharing ---

layer(Cpu.layer)("what is shared", (it) => {
  it.effect("A.028 the same Variable at two arguments is one object inside", () =>
    Effect.gen(function*() {
      const x = yield* nnx.Variable.make(weak(0))
      const f = nnx.jit((a: typeof x, b: typeof x) =>
        Effect.gen(function*() {
          assert.strictEqual(a, b)
          yield* Ref.update(a, (n) => n.add(1))
          yield* Ref.update(b, (n) => n.add(1))
        })
      )
      assert.isUndefined(yield* f(x, x))
      assert.strictEqual(yield* shown(x), "2")
    }).pipe(nnx.useHijax(true)))

  it.effect("A.029 A.032 a Pytree with a shared Variable and a shared Module: one object inside", () =>
    Effect.gen(function*() {
      const shared = yield* Shared.make
      const g = nnx.jit((pytree: Shared) =>
        Effect.gen(function*() {
          assert.strictEqual(pytree.a, pytree.b)
          assert.strictEqual(pytree.c, pytree.d)
          yield* Ref.update(pytree.b, (n) => n.add(1))
          yield* Ref.update(pytree.d.kernel, (w) => w.mul(0))
        })
      )
      assert.isUndefined(yield* g(shared))
      assert.strictEqual(yield* shown(shared.a), "1")
      assert.strictEqual(yield* T.item(yield* Ref.get(shared.c.kernel)), 0)
    }).pipe(nnx.useHijax(true), Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.028 A.029 where sharing is not wanted it is an error that names both places", () =>
    Effect.gen(function*() {
      const x = yield* nnx.Variable.make(weak(0))
      const f = nnx.jit((_a: typeof x, _b: typeof x) => Effect.void, { name: "f", aliases: "error" })
      const error = yield* failure(f(x, x))
      assert.strictEqual(error._tag, "AliasError")
      assert.strictEqual(
        error.message,
        "only one reference to a Variable may be passed as an argument to a function, but when tracing f for jit the " +
          "Variable of type int32[] appeared at both _a and _b."
      )
      yield* f(x, yield* nnx.Variable.make(weak(0)))
    }))

  it.effect("A.030 findDuplicates: all paths of what is shared, and nothing below it", () =>
    Effect.gen(function*() {
      const shared = yield* Shared.make
      assert.deepStrictEqual(nnx.findDuplicates(shared), [[["a"], ["b"]], [["c"], ["d"]]])
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("A.031 split deduplicates; merging live Variables writes the original", () =>
    Effect.gen(function*() {
      const shared = yield* Shared.make
      const [graphdef, snapshot] = yield* nnx.split(shared)
      assert.deepStrictEqual(nnx.State.paths(snapshot), [["a"], ["c", "kernel"]])
      assert.strictEqual(
        String(snapshot.a),
        "Variable( # 1 (4 B)\n  value=Array(0, dtype=int32, weakType=true),\n  isHijax=true\n)"
      )
      const h = nnx.jit((def: typeof graphdef, state: nnx.State.Any) =>
        Effect.flatMap(nnx.merge(def, state), (obj) => Ref.update(obj.a, (n) => n.add(10)))
      )
      // The Variables themselves, as the notebook has them in a State …
      yield* h(graphdef, yield* nnx.variables(shared))
      assert.strictEqual(
        String(shared.a),
        "Variable( # 1 (4 B)\n  value=Array(10, dtype=int32, weakType=true),\n  isHijax=true\n)"
      )
      assert.strictEqual(shared.b, shared.a)
      // … where a snapshot is a value: nothing is written, neither the model nor the State.
      yield* h(graphdef, snapshot)
      assert.strictEqual(yield* shown(shared.a), "10")
      assert.strictEqual(yield* T.item(snapshot.a.value), 0)
    }).pipe(nnx.useHijax(true), Effect.provide(nnx.Rngs.layer(0))))

  it("A.032 Pytree is a Module that need not be one of a network", () => {
    assert.strictEqual(nnx.Pytree, nnx.Module)
    const v = nnx.Variable.makeUnsafe(weak(0))
    class Holder extends nnx.Pytree("Holder")<{ readonly v: typeof v; readonly all: ReadonlyArray<unknown> }> {}
    const held = new Holder({ v, all: [v, { m: new Holder({ v, all: [] }) }] })
    assert.deepStrictEqual(nnx.findDuplicates(held), [[["all", "0"], ["all", "1", "m", "v"], ["v"]]])
  })
})
