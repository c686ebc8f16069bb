/** A planted bug: one small change of the core's source, made while it is loaded. */

export interface Mutant {
  readonly name: string
  /** In src/core. */
  readonly file: string
  /** Exactly one place. */
  readonly from: string
  readonly to: string
  /** The second lock, where one bug alone is caught by another check of the core. */
  readonly also?: { readonly file?: string; readonly from: string; readonly to: string }
}

export interface Patch {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Everything that is changed for this mutant. */
export const patchesOf = ({ file, from, to, also }: Mutant): Patch[] => [
  { file, from, to },
  ...(also === undefined ? [] : [{ file, ...also }]),
]
