/** stub */
export const printVariable = (_: unknown): string => "VariableState"
export const printState = (_: unknown): string => "State"
