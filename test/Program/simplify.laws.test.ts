// Simplifying changes no value: random Programs with calls, loops and branches, before and after, on special values
// too.
import { assert, describe, it } from "@effect/vitest"
import { closedProgram } from "../../src/Program/build.ts"
import * as Control from "../../src/Program/control.ts"
import * as Equality from "../../src/Program/equality.ts"
import { format } from "../../src/Program/print.ts"
import type { Program } from "../../src/Program/Program.ts"
import { simplify } from "../../src/Program/simplify.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { fromValues, type Random, random } from "../support/arbitrary.ts"
import { evaluate } from "../support/reference/index.ts"
import { run } from "../support/run.ts"

type Tensors = ReadonlyArray<Tensor>

// ---------------------------------------------------------------------------------------------------------------------
// Random Programs
// ---------------------------------------------------------------------------------------------------------------------

const n = 3
const vector = ShapedArray.make([n], "float64")

const trace = (f: (xs: Tensors) => Tensors, inputs: number): Program =>
  closedProgram("test", Array.from({ length: inputs }, () => vector), f)

const constant = (value: number): Tensor => lax.broadcastTo(literal(value, "float64"), [n])

const simple: ReadonlyArray<(rng: Random, pick: () => Tensor) => Tensor> = [
  (_, pick) => lax.add(pick(), pick()),
  (_, pick) => lax.sub(pick(), pick()),
  (_, pick) => lax.mul(pick(), pick()),
  (_, pick) => lax.max(pick(), pick()),
  (_, pick) => lax.neg(pick()),
  (_, pick) => lax.neg(lax.neg(pick())),
  (_, pick) => lax.sin(pick()),
  (_, pick) => lax.rev(pick(), [0]),
  (_, pick) => lax.rev(lax.rev(pick(), [0]), [0]),
  (_, pick) => lax.cumsum(pick(), 0),
  (_, pick) => lax.copy(pick()),
  (_, pick) => lax.stopGradient(Control.checkpointName(pick(), "x")),
  (rng) => constant(rng.pick([0, -0, 1, 2])),
  (rng, pick) => lax.add(pick(), constant(rng.pick([0, -0]))),
  (rng, pick) => lax.sub(pick(), constant(rng.pick([0, -0]))),
  (rng, pick) => rng.pick([lax.mul, lax.div])(pick(), constant(1)),
  (rng, pick) => rng.pick([lax.max, lax.min])(constant(rng.pick([-Infinity, Infinity])), pick()),
  (_, pick) => lax.mul(pick(), lax.convertElementType(constant(2), "float64")),
  (_, pick) => lax.mul(pick(), lax.broadcastTo(lax.convertElementType(literal(3, "int32", true), "float64"), [n])),
  (_, pick) => {
    const x = lax.broadcastInDim(pick(), [2, n], [1])
    return lax.reduceMax(lax.transpose(lax.transpose(lax.broadcastInDim(x, [2, n, 2], [0, 1]), [2, 0, 1]), [1, 2, 0]), [
      0,
      2
    ])
  },
  (_, pick) => lax.reshape(lax.reshape(lax.reshape(pick(), [n, 1]), [1, n]), [n]),
  (_, pick) => Control.optimizationBarrier([pick(), pick()])[0]
]

/** Random computations on a pool of vectors; `depth` bounds the nesting. */
const compute = (rng: Random, depth: number) => (inputs: Tensors): Tensors => {
  const pool = inputs.length === 0 ? [constant(1)] : [...inputs]
  const pick = () => rng.pick(pool)
  for (let i = 0; i < 8; i++) {
    if (depth > 0 && rng.uniform() < 0.3) pool.push(...nested(rng, depth - 1, pick))
    else pool.push(rng.pick(simple)(rng, pick))
  }
  return [pick(), pick(), pool[pool.length - 1]]
}

const nested = (rng: Random, depth: number, pick: () => Tensor): Tensors => {
  const body = (inputs: number) => trace(compute(rng, depth), inputs)
  switch (rng.integer(0, 5)) {
    case 0: {
      const program = body(2)
      return [0, 1].flatMap(() => Control.call("f", program, [pick(), pick()]).outputs)
    }
    case 1:
      return Control.checkpoint(body(2), "nothing_saveable", [pick(), pick()], rng.pick([true, false])).outputs
    case 2: {
      const index = rng.integer(0, 2)
      return Control.cond(literal(index, "int32"), [body(2), body(2)], [pick(), pick()]).outputs
    }
    case 3: {
      // Two constants, two carries, one scanned array, one stacked result.
      const scanned = lax.broadcastInDim(pick(), [2, n], [1])
      const params = {
        program: body(5),
        length: 2,
        reverse: rng.pick([true, false]),
        num_consts: 2,
        num_carry: 2,
        unroll: 1
      }
      const [a, b, ys] = Control.scan(params, [pick(), pick(), pick(), pick(), scanned]).outputs
      return [a, b, lax.reduceMax(ys, 0)]
    }
    default:
      return countedLoop(rng, depth, pick)
  }
}

/** A while loop that counts to two in its first carry. */
const countedLoop = (rng: Random, depth: number, pick: () => Tensor): Tensors => {
  const cond = trace(([count]) => {
    const first = lax.squeeze(lax.slice(count, [0], [1]), [0])
    return [lax.lt(first, literal(2, "float64"))]
  }, 4)
  const body = trace(([k, count, ...rest]) => [
    lax.add(count, constant(1)),
    ...compute(rng, depth)([k, ...rest])
  ], 5)
  return Control.whileLoop({ cond, body, cond_consts: 0, body_consts: 1 }, [
    pick(),
    constant(0),
    pick(),
    pick(),
    pick()
  ]).outputs.slice(1)
}

const special = [0, -0, 1, -1, 0.3, -1.7, 2.9, NaN, Infinity, -Infinity]

const sameNumbers = (a: Tensors, b: Tensors): boolean => {
  const xs = evaluate(a)
  const ys = evaluate(b)
  return xs.every((x, i) => x.data.every((v, k) => Object.is(v, ys[i].data[k])))
}

describe("simplify", () => {
  for (let seed = 0; seed < 100; seed++) {
    it(`keeps the values of random Program ${seed}`, () => {
      const rng = random(seed)
      const program = trace(compute(rng, 2), 3)
      const inputs = program.inputs.map(() => fromValues([0, 1, 2].map(() => rng.pick(special)), [n], "float64"))
      const expected = run(program, inputs)
      for (const final of [false, true]) {
        const simpler = simplify(program, { final })
        assert.isTrue(sameNumbers(run(simpler, inputs), expected), format(simpler))
        assert.deepStrictEqual(simpler.outputs.map((o) => o.aval), program.outputs.map((o) => o.aval))
      }
      const once = simplify(program)
      assert.isTrue(Equality.equals(once, simplify(program)))
      assert.strictEqual(Equality.hash(once), Equality.hash(simplify(program)))
    })
  }
})
