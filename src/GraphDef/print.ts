/** stub */
export const printGraphDef = (self: { readonly entries: ReadonlyArray<{ readonly _tag: string }> }): string =>
  `GraphDef(${self.entries.length})`
