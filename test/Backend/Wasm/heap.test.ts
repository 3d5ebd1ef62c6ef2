// The memory of the Wasm backend: blocks never overlap, freed ones are used again, and what does not fit changes nothing.
import { assert, describe, it } from "@effect/vitest"
import { Allocator } from "../../../src/Backend/Wasm/runtime/Allocator.ts"
import { AllocationFailed, Heap } from "../../../src/Backend/Wasm/runtime/Heap.ts"
import { random } from "../../support/arbitrary.ts"

describe("the allocator", () => {
  it("gives blocks that never overlap, and all memory back", () => {
    const rng = random(5)
    const allocator = new Allocator(100, 2 ** 26)
    const blocks = new Map<number, number>()
    for (let i = 0; i < 4000; i++) {
      const taken = [...blocks.keys()]
      if (taken.length > 0 && (rng.uniform() < 0.5 || taken.length > 60)) {
        const address = rng.pick(taken)
        allocator.free(address)
        blocks.delete(address)
      } else {
        const bytes = Math.floor(2 ** rng.uniform(0, 16))
        const address = allocator.allocate(bytes)
        if (address === undefined) return assert.fail("it does not fit")
        assert.strictEqual(address % 64, 0)
        for (const [other, size] of blocks) assert.isTrue(address + bytes <= other || other + size <= address)
        blocks.set(address, bytes)
      }
    }
    for (const address of blocks.keys()) allocator.free(address)
    assert.strictEqual(allocator.top, 128)
  })

  it("uses freed blocks again: memory does not grow in a steady state", () => {
    const allocator = new Allocator(0, 2 ** 30)
    const sizes = [40, 4096, 1_000_000, 64, 129, 70_000]
    let blocks = sizes.map((size) => allocator.allocate(size) ?? -1)
    const { top } = allocator
    for (let i = 0; i < 1000; i++) {
      for (const address of blocks) allocator.free(address)
      blocks = (i % 2 === 0 ? sizes.toReversed() : sizes).map((size) => allocator.allocate(size) ?? -1)
    }
    assert.strictEqual(allocator.top, top)
  })

  it("does not free twice", () => {
    const allocator = new Allocator(0, 1024)
    const a = allocator.allocate(64) ?? -1
    const b = allocator.allocate(64) ?? -1
    allocator.free(a)
    allocator.free(a)
    assert.strictEqual(allocator.allocate(64), a)
    assert.strictEqual(allocator.allocate(64), b + 64)
  })

  it("gives nothing above its limit", () => {
    const allocator = new Allocator(0, 1024)
    assert.strictEqual(allocator.allocate(1025), undefined)
    assert.strictEqual(allocator.allocate(1024), 0)
    assert.strictEqual(allocator.allocate(1), undefined)
  })
})

describe("the heap", () => {
  it("grows, and keeps what is in it", () => {
    const heap = new Heap({ shared: false, maximumMemory: 2 ** 28 })
    const first = heap.allocate(16)
    heap.write(first, "float32", Float32Array.of(1, 2, 3))
    const before = heap.memory.buffer.byteLength
    const large = heap.allocate(2 ** 24)
    heap.allocate(100)
    assert.isBelow(heap.memory.buffer.byteLength, 2 ** 25)
    assert.isAbove(heap.memory.buffer.byteLength, before)
    assert.deepStrictEqual(Array.from(heap.read(first, "float32", 3)), [1, 2, 3])
    heap.write(large + 2 ** 24 - 4, "int32", Int32Array.of(-7))
    assert.deepStrictEqual(Array.from(heap.read(large + 2 ** 24 - 4, "int32", 1)), [-7])
  })

  it("fails with the bytes that do not fit, and goes on", () => {
    const heap = new Heap({ shared: false, maximumMemory: 2 ** 20 })
    assert.throws(() => heap.allocate(2 ** 20), AllocationFailed, String(2 ** 20))
    assert.throws(() => heap.arena(2 ** 60), AllocationFailed)
    assert.isAbove(heap.allocate(2 ** 19), 0)
  })

  it("has one arena, as large as the largest that was asked for", () => {
    const heap = new Heap({ shared: false, maximumMemory: 2 ** 24 })
    const small = heap.arena(100)
    assert.strictEqual(heap.arena(64), small)
    heap.allocate(64)
    const large = heap.arena(100_000)
    assert.strictEqual(heap.arena(100_000), large)
    // What the small one had is free again.
    assert.strictEqual(heap.allocate(64), small)
  })

  it("gives plain arrays out of shared memory", () => {
    const heap = new Heap({ shared: true, maximumMemory: 2 ** 20 })
    const address = heap.allocate(8)
    heap.write(address, "uint8", Uint8Array.of(1, 2))
    assert.instanceOf(heap.read(address, "uint8", 2).buffer, ArrayBuffer)
  })
})
