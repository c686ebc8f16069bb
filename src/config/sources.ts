/** From the inputs to the documents that count: which files, in which order, and what may stand in them. */
import { closest, distance } from 'fastest-levenshtein'
import { ConfigDocument } from './document.ts'
import { type ConfigFault, keyText, NOWHERE } from './faults.ts'
import { defaultFiles, defaultPlaces, readSource } from './files.ts'
import { KAIROS_BLOCKS } from './kairos.ts'

const OURS: readonly string[] = ['muster', ...KAIROS_BLOCKS]

const EXAMPLE =
  'make a token with `muster token new --expect N --network NAME` and write /etc/muster/muster.yaml: ' +
  '`muster: {token: muster1…}`; config/minimal.yaml is an example'

/** @param named files that a person named; none: MUSTER_CONFIG's, else the default places. */
export function readDocuments(
  named: readonly string[],
  variable: string | undefined,
  root: string,
  faults: ConfigFault[],
): ConfigDocument[] {
  const fromVariable = (variable ?? '').split(/[:,]/).filter((file) => file !== '')
  const explicit = named.length > 0 ? named : fromVariable
  const before = faults.length
  const documents = (explicit.length > 0 ? explicitSources(explicit) : defaultSources(root)).flatMap(
    ({ file, isFound }) => {
      const source = readSource(file, isFound, faults)
      const document = source === null ? null : ConfigDocument.parse(source, OURS, faults)
      return document === null ? [] : [document]
    },
  )
  for (const document of documents) checkTopKeys(document, faults)
  const ours = documents.filter((document) => document.topKeys().some((key) => OURS.includes(key)))
  if (faults.length === before) {
    if (explicit.length > 0) {
      for (const document of documents.filter((one) => !ours.includes(one)))
        faults.push(withoutBlock(document))
    } else if (
      !ours.some((document) => document.topKeys().some((key) => key === 'muster' || key === 'p2p'))
    ) {
      faults.push({
        ...NOWHERE,
        message: `no configuration: looked for ${defaultPlaces(root)}`,
        hint: EXAMPLE,
      })
    }
  }
  return ours
}

interface Place {
  readonly file: string
  readonly isFound: boolean
}

const explicitSources = (files: readonly string[]): Place[] => files.map((file) => ({ file, isFound: false }))

function defaultSources(root: string): Place[] {
  const { own, cloud } = defaultFiles(root)
  return [...own.map((file) => ({ file, isFound: false })), ...cloud.map((file) => ({ file, isFound: true }))]
}

/** In a file of muster's own, whatever is not `muster:` was meant to be something. */
function checkTopKeys(document: ConfigDocument, faults: ConfigFault[]): void {
  if (document.isCloudConfig) return
  for (const key of new Set(document.topKeys())) {
    if (key === 'muster') continue
    faults.push({
      ...document.place([key]),
      key: keyText([key]),
      message: 'stands outside of `muster:`',
      hint: KAIROS_BLOCKS.includes(key)
        ? 'a file with Kairos’ blocks begins with the line #cloud-config'
        : 'put it below `muster:`; a file that other programs read too begins with the line #cloud-config',
    })
  }
}

function withoutBlock(document: ConfigDocument): ConfigFault {
  const keys = document.topKeys()
  const meant = keys.length === 0 ? null : closest('muster', keys)
  const isNear = meant !== null && distance('muster', meant) <= 2
  return {
    ...document.place(isNear ? [meant] : []),
    key: isNear ? keyText([meant]) : null,
    message: 'there is no `muster:` block in this file',
    hint: isNear ? 'did you mean `muster:`?' : 'add one, or do not name this file',
  }
}
