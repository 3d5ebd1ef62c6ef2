// What tests do with results that live in a device's memory: there they stay until their arrays are collected.
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/Backend/Backend.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"

/** Frees the elements of computed arrays at once, and asserts that the backend holds nothing then. */
export const nothingLivesBut = (...results: ReadonlyArray<Tensor>): Effect.Effect<void, never, Backend> =>
  Effect.gen(function*() {
    const backend = yield* Backend
    for (const { source } of results) if (source._tag === "Concrete") backend.release(source.storage)
    const { liveBuffers, liveBytes } = yield* backend.memory
    assert.deepStrictEqual({ liveBuffers, liveBytes }, { liveBuffers: 0, liveBytes: 0 })
  })
