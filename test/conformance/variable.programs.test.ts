// Programs shown with their Variables: what `makeProgram` prints for functions that read and write them.
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as nnx from "../../src/index.ts"
import type { Var } from "../../src/Program/Program.ts"
import { operandsOf } from "../../src/Program/references.ts"
import { kind, Variable } from "../../src/Ref/Variable.ts"
import { lift, type Tensor } from "../../src/Tensor/Tensor.ts"
import { steps } from "../Program/lower.steps.ts"

const { array, ones } = nnx.Tensor

/** A weakly typed int32, as `jnp.array(0)` is. */
const counter = () => Variable.makeUnsafe(lift(0), { isHijax: true })
type Counter = ReturnType<typeof counter>

/** `v[...] += 1`: reads an element, adds, and puts it into the array, which is read again for it. */
const increment = (v: Counter) => Ref.update(v.at("..."), (x) => x.add(1))

const oneLine = (program: nnx.ShownProgram): string => String(program).replaceAll(/\s+/g, " ")
const primitives = (program: nnx.Program.Program): ReadonlyArray<string> =>
  program.equations.flatMap((e) => [e.primitive, ...nnx.Program.subPrograms(e).flatMap(primitives)])

/** The inputs of the outermost Program that are written, at any depth. `outer` says what inner inputs stand for. */
const writtenIn = (program: nnx.Program.Program, outer: ReadonlyMap<Var, Var>): ReadonlySet<Var> => {
  const written = new Set<Var>()
  for (const e of program.equations) {
    const [first] = e.inputs
    const known = first?._tag === "Var" ? outer.get(first) : undefined
    if (e.primitive === "set_variable" && known !== undefined) written.add(known)
    for (const { operands, program: inner } of operandsOf(e)) {
      const bound = inner.inputs.flatMap((v, i): ReadonlyArray<readonly [Var, Var]> => {
        const operand = operands[i]
        const root = operand._tag === "Var" ? outer.get(operand) : undefined
        return root === undefined ? [] : [[v, root]]
      })
      for (const v of writtenIn(inner, new Map(bound))) written.add(v)
    }
  }
  return written
}

const program = `{ lambda ; a:Variable(). let
    jit[
      name=inc
      jaxpr={ lambda ; a:Variable(). let
          b:i32[] = get_variable[avals=(ShapedArray(int32[], weak_type=True),)] a
          c:i32[] = add b 1:i32[]
          _:i32[] = get_variable[avals=(ShapedArray(int32[], weak_type=True),)] a
          set_variable[
            treedef=PyTreeDef(CustomNode(Variable[(('hasRef', False), ('isHijax', True), ('isMutable', True))], [*]))
            var_type=<kind 'Variable'>
          ] a c
        in () }
    ] a
  in () }`

layer(Cpu.layer)("the Program of the first notebook", (it) => {
  it.effect("A.003 a Variable is one abstract input, and nothing is returned", () =>
    Effect.gen(function*() {
      const shown = yield* nnx.makeProgram(nnx.jit(increment, { name: "inc" }))(counter())
      assert.match(String(shown), /^{ lambda ; a:Variable\(\)\. let\n/)
      assert.match(String(shown), /in \(\) }$/)
      assert.strictEqual(shown.inputs.length, 1)
      assert.strictEqual(shown.variables.get(shown.inputs[0])?.kind, "Variable")
      // One input also where the value has several arrays, under the short name of its kind.
      const tree = nnx.Param.sub("LoraParam").makeUnsafe({ a: array(0), b: ones([2, 3]) })
      const sum = yield* nnx.makeProgram((v: typeof tree) => Effect.map(Ref.get(v), ({ a, b }) => b.add(a)))(tree)
      assert.match(String(sum), /^{ lambda ; a:LoraParam\(\)\. let/)
    }))

  it.effect("A.004 a jitted function is an equation with its name, and its Program inside", () =>
    Effect.gen(function*() {
      const inc = (v: Counter) => increment(v)
      const shown = yield* nnx.makeProgram(nnx.jit(inc))(counter())
      assert.strictEqual(String(shown), program)
      assert.deepStrictEqual(primitives(shown), ["jit", "get_variable", "add", "get_variable", "set_variable"])
    }))

  it.effect("A.005 reads are equations with the abstract values that they give", () =>
    Effect.gen(function*() {
      const shown = yield* nnx.makeProgram(increment)(counter())
      assert.include(String(shown), "b:i32[] = get_variable[avals=(ShapedArray(int32[], weak_type=True),)] a\n")
      const tree = Variable.makeUnsafe({ b: ones([2, 3]), a: array([1, 2]) })
      const both = yield* nnx.makeProgram((v: typeof tree) => Effect.map(Ref.get(v), ({ a, b }) => [a, b]))(tree)
      assert.strictEqual(
        oneLine(both),
        "{ lambda ; a:Variable(). let b:f32[2] c:f32[2,3] = get_variable[" +
          "avals=(ShapedArray(float32[2]), ShapedArray(float32[2,3]))] a in (b, c) }"
      )
    }))

  it.effect("A.006 an update in place is get, add, get, set; the second read is dead", () =>
    Effect.gen(function*() {
      assert.strictEqual(String(yield* nnx.makeProgram(nnx.jit(increment, { name: "inc" }))(counter())), program)
      // It comes from putting the element into an array that is read for it. `Ref.update` of the whole value reads once,
      // and that is what is shown.
      const once = yield* nnx.makeProgram((v: Counter) => Ref.update(v, (x) => x.add(1)))(counter())
      assert.deepStrictEqual(primitives(once), ["get_variable", "add", "set_variable"])
      // A read whose value nobody needs is shown too, and dropped by whatever compiles.
      const idle = (v: Counter) => Effect.asVoid(Ref.get(v))
      assert.match(oneLine(yield* nnx.makeProgram(idle)(counter())), /let _:i32\[\] = get_variable\[.*\] a in \(\) }/)
      assert.strictEqual((yield* nnx.lower(idle)(counter())).program.equations.length, 0)
    }))

  it.effect("A.007 writes are equations without outputs, with the metadata sorted by key and the kind", () =>
    Effect.gen(function*() {
      const v = nnx.Param.sub("LoraParam").makeUnsafe({ b: array(0), a: [array(1), array(2)] }, {
        metadata: { sharding: ["in", "out"], axis: 3, tied: null, name: "w" }
      })
      const write = (x: typeof v) => Ref.update(x, ({ a, b }) => ({ a, b: b.add(1) }))
      assert.include(
        String(yield* nnx.makeProgram(write)(v)),
        `    set_variable[
      treedef=PyTreeDef(CustomNode(LoraParam[(('axis', 3), ('hasRef', False), ('isHijax', False), ('isMutable', True), ` +
          `('name', 'w'), ('sharding', ('in', 'out')), ('tied', None))], [{'a': [*, *], 'b': *}]))
      var_type=<kind 'Param/LoraParam'>
    ] a b c e\n`
      )
    }))

  it.effect("A.008 literals print with their dtypes, and weak types are tracked", () =>
    Effect.gen(function*() {
      const shown = yield* nnx.makeProgram(increment)(counter())
      assert.include(String(shown), "c:i32[] = add b 1:i32[]")
      // A strong value was written, so the next read gives one.
      const twice = (v: Counter) => Effect.andThen(Ref.set(v, array(1.5)), Ref.update(v, (x) => x.mul(2)))
      const text = oneLine(yield* nnx.makeProgram(twice)(counter()))
      assert.match(
        text,
        /c:f32\[\] = get_variable\[avals=\(ShapedArray\(float32\[\]\),\)\] b d:f32\[\] = mul c 2\.0:f32\[\]/
      )
    }))
})

describe("effect order", () => {
  layer(Cpu.layer)("inside of transforms", (it) => {
    const texts = (xs: ReadonlyArray<string>) => xs.filter((x) => x.endsWith("_variable") || x === "scan")

    it.effect("A.005 reads and writes of captured Variables and of Modules, in the order in which they happened", () =>
      Effect.gen(function*() {
        const [seen, linear] = [counter(), yield* nnx.Linear.make(2, 3)]
        const f = (model: nnx.Linear, x: Tensor) =>
          Effect.gen(function*() {
            yield* Ref.update(seen, (n) => n.add(1))
            const y = yield* model.apply(x)
            yield* Ref.update(model.kernel, (w) => w.mul(2))
            yield* Ref.update(seen, (n) => n.add(1))
            return y
          })
        const shown = yield* nnx.makeProgram(f)(linear, ones([1, 2]))
        assert.match(String(shown), /^{ lambda ; a:Variable\(\) b:Param\(\) c:Param\(\) d:f32\[1,2\]\. let/)
        const touched = shown.equations.flatMap((e) => {
          const v = e.inputs[0]
          return e.primitive.endsWith("_variable") && v._tag === "Var"
            ? [`${e.primitive} ${shown.inputs.indexOf(v)}`]
            : []
        })
        assert.deepStrictEqual(touched, [
          "get_variable 0",
          "set_variable 0",
          "get_variable 2",
          "get_variable 1",
          "get_variable 2",
          "set_variable 2",
          "get_variable 0",
          "set_variable 0"
        ])
      }).pipe(Effect.provide(nnx.Rngs.layer(0))))

    it.effect("A.004 scan, while, cond and remat have Variables as operands, and use them inside", () =>
      Effect.gen(function*() {
        const seen = counter()
        const count = Ref.update(seen, (n: Tensor) => n.add(1))
        const body = (c: Tensor, x: Tensor) => Effect.as(count, [c.add(x), null] as const)
        const looped = yield* nnx.makeProgram((xs: Tensor) => nnx.scan(body)(array(0), xs))(
          ones([3])
        )
        assert.deepStrictEqual(texts(primitives(looped)), ["scan", "get_variable", "set_variable"])
        assert.match(String(looped), /scan\[\s+jaxpr={ lambda ; [a-z]:Variable\(\) [a-z]:f32\[\] [a-z]:f32\[\]\. let/)
        assert.match(String(looped), /num_consts=1/)

        const choose = (v: Counter, x: Tensor) =>
          nnx.cond(
            x.gt(0),
            (v: Counter) => Effect.asVoid(Ref.update(v, (n) => n.add(1))),
            (v: Counter) => Effect.asVoid(Ref.get(v)),
            v
          )
        const branched = yield* nnx.makeProgram(choose)(seen, array(1))
        assert.deepStrictEqual(primitives(branched), [
          "gt",
          "convert_element_type",
          "cond",
          "get_variable",
          "get_variable",
          "add",
          "set_variable"
        ])
        assert.strictEqual(String(branched).match(/Variable\(\)\. let/g)?.length, 2)

        const up = (v: Counter) =>
          nnx.whileLoop(
            (x: Tensor) => Effect.map(Ref.get(v), (n) => x.lt(n)),
            (x) => Effect.as(count, x.add(1)),
            array(0)
          )
        const repeated = yield* nnx.makeProgram(up)(seen)
        assert.deepStrictEqual(primitives(repeated).filter((p) => p.endsWith("_variable")), [
          "get_variable",
          "get_variable",
          "set_variable"
        ])

        const again = nnx.remat((v: Counter) => Ref.get(v))
        assert.deepStrictEqual(primitives(yield* nnx.makeProgram(again)(seen)), ["checkpoint", "get_variable"])
        // What is only shown leaves no trace outside.
        assert.strictEqual(yield* Effect.flatMap(Ref.get(seen), nnx.Tensor.item), 0)
      }))

    it.effect("A.006 transforms that rewrite a Program read before it and write after it", () =>
      Effect.gen(function*() {
        const w = nnx.Param.makeUnsafe(array(3))
        const seen = counter()
        const loss = (v: typeof w, x: Tensor) =>
          Effect.gen(function*() {
            yield* Ref.update(seen, (n) => n.add(1))
            return (yield* Ref.get(v)).mul(x)
          })
        const shown = yield* nnx.makeProgram((v: typeof w, x: Tensor) => nnx.grad(loss)(v, x))(
          w,
          array(2)
        )
        const own = primitives(shown).filter((p) => p.endsWith("_variable"))
        assert.strictEqual(own.at(-1), "set_variable")
        assert.deepStrictEqual(own.slice(0, -1), ["get_variable"])
        // What is stepped through is read before the loop and written after it.
        const stack = nnx.Param.makeUnsafe(ones([4]))
        const step = (c: Tensor, v: typeof stack) => Effect.as(Ref.update(v, (x) => x.mul(2)), [c, null] as const)
        const stepped = yield* nnx.makeProgram((v: typeof stack) => nnx.scan(step)(array(0), v))(stack)
        assert.deepStrictEqual(primitives(stepped), ["get_variable", "scan", "mul", "set_variable"])
      }))

    it.effect("A.007 a write that gives a value keys is seen by the reads after it, also outside of the jit", () =>
      Effect.gen(function*() {
        const metrics = kind("Metric").makeUnsafe<Readonly<Record<string, Tensor>>>({})
        const note = nnx.jit((v: typeof metrics) => Ref.set(v, { loss: ones([2]) }), { name: "note" })
        const f = (v: typeof metrics) => Effect.andThen(note(v), Ref.get(v))
        const shown = yield* nnx.makeProgram(f)(metrics)
        assert.deepStrictEqual(shown.outputs.map((o) => o.aval.shape), [[2]])
        assert.match(oneLine(shown), /treedef=PyTreeDef\(CustomNode\(Metric\[.*\], \[{'loss': \*}\]\)\)/)
        // In a branch it fails, as it does when it is compiled.
        const maybe = (v: typeof metrics) =>
          nnx.cond(
            array(true),
            (u: typeof metrics) => Effect.asVoid(Ref.set(u, { loss: ones([2]) })),
            () => Effect.void,
            v
          )
        assert.strictEqual((yield* Effect.flip(nnx.makeProgram(maybe)(metrics)))._tag, "StructureError")
        assert.strictEqual((yield* Effect.flip(nnx.jit(maybe)(metrics)))._tag, "StructureError")
      }))

    it.effect("A.007 of whole training steps: the Variables that are shown written are those that jit writes", () =>
      Effect.gen(function*() {
        for (const { make, name } of steps) {
          const { f, inputs, models } = yield* make
          const shown = yield* nnx.makeProgram(f)(...models, ...inputs)
          const lowered = yield* nnx.lower(f)(...models, ...inputs)
          const written = writtenIn(shown, new Map(shown.inputs.map((v) => [v, v])))
          const donated = lowered.asText().match(/tf\.aliasing_output/g) ?? []
          assert.strictEqual(written.size, donated.length, name)
          assert.isTrue([...written].every((v) => shown.variables.has(v)), name)
        }
      }).pipe(Effect.provide(nnx.Rngs.layer(0))))
  })
})
