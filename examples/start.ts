/**
 * `npm start`: the MNIST example (mnist/main.ts) as a program. `npm start -- --help` tells its options.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Command } from "effect/cli"
import manifest from "../package.json" with { type: "json" }
import { mnist } from "./mnist/main.ts"

// Ctrl-C interrupts the program as an Effect: it writes a checkpoint before it ends.
mnist.pipe(
  Command.run({ version: manifest.version }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
