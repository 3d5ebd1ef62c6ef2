// Checkpoints in files: round trips, what is left behind when something goes wrong, and folders of steps.
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as Checkpoint from "../../src/Checkpoint/index.ts"
import * as nnx from "../../src/index.ts"
import * as T from "../../src/Tensor/index.ts"
import { Linear } from "../support/models.ts"

const Live = Layer.mergeAll(Cpu.layer, NodeServices.layer)

/** A fresh folder that goes away with the test. */
const folder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "linum-" }))
const files = (path: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readDirectory(path))

const linear = (value: number): Linear =>
  new Linear({
    kernel: nnx.Param.makeUnsafe(T.full([2, 3], value)),
    bias: nnx.Param.makeUnsafe(T.full([3], value)),
    features: 3
  })

describe("files", () => {
  it.effect("a model goes to a file and comes back into another model, in place", () =>
    Effect.gen(function*() {
      const path = (yield* Path.Path).join(yield* folder, "a", "model.safetensors")
      yield* Checkpoint.save(path, linear(2), { metadata: { epoch: 3 } })
      const model = linear(0)
      const restored = yield* Checkpoint.restore(path, model)
      assert.strictEqual(restored, model)
      assert.deepStrictEqual(yield* toNested(model.kernel.ref.current), [[2, 2, 2], [2, 2, 2]])
      assert.deepStrictEqual(yield* Checkpoint.metadata(path, Schema.Struct({ epoch: Schema.Int })), { epoch: 3 })
      assert.deepStrictEqual(yield* files((yield* Path.Path).dirname(path)), ["model.safetensors"])
    }).pipe(Effect.provide(Live)))
})
