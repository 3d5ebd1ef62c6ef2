// Before every test file: vitest compares Effect values (Option, Result, Data, our own Equal instances) by `Equal.equals`.
import { addEqualityTesters } from "@effect/vitest"

addEqualityTesters()
