/** A small assembler for WebAssembly: function bodies (`Code`) and modules. */
export { type Callable, Code, type Label, type Local, type ValueType } from "./Code.ts"
export { type MemoryImport, Module } from "./Module.ts"
export type { LaneMemory, Memory, Plain } from "./opcodes.ts"
