/**
 * Backends: the service that runs Programs, its errors, and reading values back.
 *
 * @since 0.1.0
 */
export * from "./Backend.ts"
export { compute, item, toNested, toTypedArray } from "./read.ts"
