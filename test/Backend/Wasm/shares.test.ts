// How threads share out the units of a kernel: every unit is taken once, whoever is quick, and each thread's own first.
import { assert, describe, it } from "@effect/vitest"
import { Code, Module } from "../../../src/Backend/Wasm/assembler/index.ts"
import { controlBytes, lines } from "../../../src/Backend/Wasm/runtime/control.ts"
import { beginTurns, nextTurn, taking } from "../../../src/Backend/Wasm/runtime/shares.ts"
import { random } from "./workbench.ts"

/** A memory with the functions of a thread: `next(thread)` begins a kernel, `take(…)` is what threads call. */
const make = () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const module = new Module({ shared: true, initial: 1, maximum: 1 })
  const take = taking(module)
  const params = ["thread", "threads", "turn", "units", "least", "most"].map((name) => [name, "i32"] as const)
  const code = new Code(params, ["i64"])
  const [thread, threads, turn, units, least, most] = code.params
  const word = code.local("i32", "word")
  // The word of a thread's nth kernel.
  beginTurns(code, word)
  code.get(turn).if(() => code.get(word).i32(lines.taken[0] ^ lines.taken[1]).op("i32.xor").set(word))
  code.get(thread).get(threads).get(word).get(units).get(least).get(most).call(take)
  module.add("take", code, { exported: true })
  const begin = new Code([["thread", "i32"], ["turn", "i32"]])
  const [beginning, odd] = begin.params
  const other = begin.local("i32", "word")
  beginTurns(begin, other)
  begin.get(odd).i32(0).op("i32.eq").if(() =>
    begin.get(other).i32(lines.taken[0] ^ lines.taken[1]).op("i32.xor").set(other)
  )
  nextTurn(begin, beginning, other)
  module.add("begin", begin, { exported: true })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()), { env: { memory } })
  const call = exports["take"] as (...numbers: ReadonlyArray<number>) => bigint
  const start = exports["begin"] as (thread: number, turn: number) => void
  return {
    control: new Int32Array(memory.buffer, 0, controlBytes / 4),
    start,
    take: (...numbers: ReadonlyArray<number>): readonly [number, number] | undefined => {
      const taken = call(...numbers)
      return taken === 0n ? undefined : [Number(taken & 0xffffffffn), Number(taken >> 32n)]
    }
  }
}

describe("units of a kernel", () => {
  it("are taken once each, by any threads in any order, kernel after kernel", () => {
    const draw = random(5)
    const { start, take } = make()
    for (let kernel = 0; kernel < 300; kernel++) {
      const turn = kernel % 2
      const threads = kernel < 150 ? 3 : 5
      const units = draw.pick(1, 2, 3, 16, 100, 4097)
      const [least, most] = [draw.integer(1, 5), draw.pick(5, 64, units + 5)]
      for (let thread = 0; thread < threads; thread++) start(thread, turn)
      const counts = new Uint8Array(units)
      const busy = new Set(Array.from({ length: threads }, (_, thread) => thread))
      while (busy.size > 0) {
        const thread = [...busy][draw.integer(0, busy.size - 1)]
        const taken = take(thread, threads, turn, units, least, most)
        if (taken === undefined) busy.delete(thread)
        else {
          assert.isAtMost(taken[1] - taken[0], Math.max(least, most))
          for (let unit = taken[0]; unit < taken[1]; unit++) counts[unit]++
        }
      }
      assert.isTrue(counts.every((count) => count === 1), `${units} units, ${threads} threads`)
    }
  })

  it("are taken from the own share first, half of what is left at a time", () => {
    const { start, take } = make()
    for (const thread of [0, 1]) start(thread, 0)
    const all = Array.from({ length: 7 }, () => take(1, 2, 0, 16, 1, 16))
    assert.deepStrictEqual(all, [[8, 12], [12, 14], [14, 15], [15, 16], [0, 4], [4, 6], [6, 7]])
    assert.deepStrictEqual(take(0, 2, 0, 16, 1, 16), [7, 8])
    assert.isUndefined(take(0, 2, 0, 16, 1, 16))
  })

  it("may be more than fit into 32 bits when multiplied by threads", () => {
    const { start, take } = make()
    for (let thread = 0; thread < 64; thread++) start(thread, 0)
    const units = 2 ** 30
    assert.deepStrictEqual(take(63, 64, 0, units, units, units), [units / 64 * 63, units])
  })
})
