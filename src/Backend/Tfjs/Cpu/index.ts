/**
 * The CPU backend: `tfjs-cpu`, in Node and in browsers. Arrays that leave a Program are plain JavaScript memory.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../Backend.ts"
import * as service from "../service.ts"
import { make } from "./device.ts"

/**
 * The CPU backend. Dtypes: all but float64.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Backend> = service.layer(Effect.sync(make))
